#include "trainer_host/trainer/quantize/operator_counter.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace outcrop::quantize {
namespace {

struct Depth final : at::ObserverContext {};

// Of one convolution, or transposed one, along any number of axes: each output, or each input, meets the
// whole of a filter.
std::int64_t convolution_products(const std::vector<c10::IValue>& inputs) {
  const auto input = inputs[0].toTensor();
  const auto weight = inputs[1].toTensor();
  const auto stride = inputs[3].toIntVector();
  const auto padding = inputs[4].toIntVector();
  const auto dilation = inputs[5].toIntVector();
  std::int64_t positions = input.size(0);
  for (std::int64_t axis = 2; axis < input.dim(); ++axis) {
    const auto i = static_cast<std::size_t>(axis) - 2;
    const auto at = [&](const std::vector<std::int64_t>& list) { return list.size() == 1 ? list[0] : list.at(i); };
    if (inputs[6].toBool()) {
      positions *= input.size(axis);
      continue;
    }
    const auto reach = at(dilation) * (weight.size(axis) - 1) + 1;
    positions *= (input.size(axis) + 2 * at(padding) - reach) / at(stride) + 1;
  }
  return positions * weight.numel();
}

// Of the operators that others end in.
std::optional<std::size_t> first_factor(const std::string& name) {
  if (name == "aten::mm" || name == "aten::bmm" || name == "aten::mv" || name == "aten::dot") return 0;
  if (name == "aten::addmm" || name == "aten::baddbmm" || name == "aten::addmv" || name == "aten::addbmm" ||
      name == "aten::_addmm_activation") {
    return 1;
  }
  return std::nullopt;
}

// [.., m, k] times [.., k, n], and vectors.
std::int64_t matrix_products(const at::Tensor& left, const at::Tensor& right) {
  if (right.dim() < 2) return left.numel();
  return left.numel() * right.size(-1);
}

}  // namespace

struct OperatorCounter::State {
  std::vector<std::string> recorded;
  Products products = Products::ignored;
  std::map<std::string, int> counts;
  std::vector<Call> calls;
  int depth = 0;
  // LibTorch's callback is a plain function pointer, called on the thread that registered it.
  static thread_local State* current;

  [[nodiscard]] bool is_recorded(const std::string& name) const {
    return std::find(recorded.begin(), recorded.end(), name) != recorded.end();
  }

  static std::vector<c10::IValue> inputs_of(const at::RecordFunction& function) {
    // LibTorch hands over the interpreter's whole stack; the arguments are its end.
    const auto schema = c10::Dispatcher::singleton().findSchema(*function.operator_name());
    const auto inputs = function.inputs();
    const auto arguments = static_cast<std::ptrdiff_t>(schema->schema().arguments().size());
    return std::vector<c10::IValue>(inputs.end() - arguments, inputs.end());  // not in braces: a list of two
  }

  static std::unique_ptr<at::ObserverContext> on_operator(const at::RecordFunction& function) {
    const std::string name = function.name();
    const bool outermost = current->depth++ == 0;
    if (outermost) ++current->counts[name];
    const bool counted = current->products == Products::counted;
    const bool recorded = outermost && current->is_recorded(name);
    if (recorded || (outermost && counted)) current->calls.push_back({name, {}, 0});
    if (recorded) current->calls.back().inputs = inputs_of(function);
    if (!counted) return std::make_unique<Depth>();
    if (name == "aten::convolution") {
      current->calls.back().multiply_adds += convolution_products(inputs_of(function));
    } else if (const auto factor = first_factor(name)) {
      const auto inputs = inputs_of(function);
      current->calls.back().multiply_adds +=
          matrix_products(inputs.at(*factor).toTensor(), inputs.at(*factor + 1).toTensor());
    }
    return std::make_unique<Depth>();
  }

  static void after_operator(const at::RecordFunction&, at::ObserverContext* context) {
    if (context == nullptr || --current->depth > 0 || current->products == Products::ignored) return;
    const Call& call = current->calls.back();
    if (call.multiply_adds == 0 && !current->is_recorded(call.name)) current->calls.pop_back();
  }
};

thread_local OperatorCounter::State* OperatorCounter::State::current = nullptr;

OperatorCounter::OperatorCounter(std::vector<std::string> recorded, Products products)
    : state_(std::make_unique<State>()) {
  state_->recorded = std::move(recorded);
  state_->products = products;
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(State::on_operator, State::after_operator)
          .needsInputs(!state_->recorded.empty() || products == Products::counted)
          .scopes({at::RecordScope::FUNCTION}));
}

OperatorCounter::~OperatorCounter() {
  if (handle_ != 0) at::removeCallback(handle_);
}

std::vector<OperatorCounter::Call> OperatorCounter::finish() {
  if (handle_ != 0) at::removeCallback(std::exchange(handle_, 0));
  return std::move(state_->calls);
}

const std::map<std::string, int>& OperatorCounter::counts() const {
  return state_->counts;
}
const std::vector<OperatorCounter::Call>& OperatorCounter::calls() const {
  return state_->calls;
}

}  // namespace outcrop::quantize
