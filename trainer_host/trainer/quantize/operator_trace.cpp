#include "trainer_host/trainer/quantize/operator_trace.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace outcrop::quantize {
namespace {

using c10::IValue;
using torch::Tensor;

// What multiplies and calls nothing else of these; a convolution's transposed form is among its arguments.
constexpr std::array<std::string_view, 11> products{
    "aten::convolution", "aten::_convolution", "aten::mm",    "aten::bmm",   "aten::addmm",
    "aten::baddbmm",     "aten::addbmm",       "aten::mv",    "aten::addmv", "aten::dot",
    "aten::_addmm_activation"};

const Tensor* tensor_at(const std::vector<IValue>& values, std::size_t at) {
  return at < values.size() && values[at].isTensor() ? &values[at].toTensor() : nullptr;
}

std::int64_t multiply_adds_of(const std::string& name, const std::vector<IValue>& inputs,
                              const std::vector<IValue>& outputs) {
  const Tensor* output = tensor_at(outputs, 0);
  if (output == nullptr || !output->defined()) return 0;
  if (name.ends_with("convolution")) {
    const Tensor* input = tensor_at(inputs, 0);
    const Tensor* weight = tensor_at(inputs, 1);
    if (input == nullptr || weight == nullptr || weight->dim() == 0 || weight->size(0) == 0) return 0;
    const bool transposed = inputs.size() > 6 && inputs[6].isBool() && inputs[6].toBool();
    return (transposed ? *input : *output).numel() * (weight->numel() / weight->size(0));
  }
  const bool adds = name.find("add") != std::string::npos;
  const Tensor* left = tensor_at(inputs, adds ? 1 : 0);
  if (left == nullptr || left->dim() == 0) return 0;
  const std::int64_t all = output->numel() * left->size(-1);
  return name == "aten::addbmm" ? all * left->size(0) : all;
}

// LibTorch hands over the interpreter's whole stack; what is an operator's own is its end.
template <class Values>
std::vector<IValue> end_of(const Values& values, std::size_t count) {
  count = std::min(count, values.size());
  return std::vector<IValue>(values.end() - static_cast<std::ptrdiff_t>(count), values.end());
}

Tensor value_now(const Tensor& tensor) {
  if (tensor.is_quantized()) return tensor.dequantize();
  return tensor.is_floating_point() ? tensor.to(torch::kFloat, false, /*copy=*/true) : Tensor();
}

}  // namespace

struct OperatorTrace::State {
  // What stands between the start and the end of one operator.
  struct Open : at::ObserverContext {
    std::string name;
    std::vector<IValue> inputs;
    std::size_t outputs = 0;
    bool product = false;
  };
  bool (*keeps_values)(const std::string&) = nullptr;
  std::vector<TracedCall> calls;
  int depth = 0;
  int products_open = 0;
  std::int64_t multiply_adds = 0;  // in the outermost call that is open
  // LibTorch's callbacks are plain function pointers, called on the thread that registered them.
  static thread_local State* current;

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
    const at::RecordFunctionGuard not_this(/*is_enabled=*/false);
    auto open = std::make_unique<Open>();
    open->name = function.name();
    const auto operation = function.operator_name();
    const auto schema = operation ? c10::Dispatcher::singleton().findSchema(*operation) : c10::nullopt;
    if (schema) {
      open->inputs = end_of(function.inputs(), schema->schema().arguments().size());
      open->outputs = schema->schema().returns().size();
    }
    open->product = std::find(products.begin(), products.end(), open->name) != products.end();
    if (current->depth++ == 0) current->multiply_adds = 0;
    if (open->product) ++current->products_open;
    return open;
  }

  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    const at::RecordFunctionGuard not_this(/*is_enabled=*/false);
    auto& open = static_cast<Open&>(*context);
    const auto outputs = end_of(function.outputs(), open.outputs);
    --current->depth;
    if (open.product && --current->products_open == 0) {
      current->multiply_adds += multiply_adds_of(open.name, open.inputs, outputs);
    }
    if (current->depth > 0) return;
    TracedCall call{open.name, std::move(open.inputs), outputs, {}, current->multiply_adds};
    if (current->keeps_values != nullptr && current->keeps_values(call.name)) {
      for (const IValue& output : outputs) {
        if (output.isTensor()) call.values.push_back(value_now(output.toTensor()));
      }
    }
    current->calls.push_back(std::move(call));
  }
};

thread_local OperatorTrace::State* OperatorTrace::State::current = nullptr;

OperatorTrace::OperatorTrace(bool (*keeps_values)(const std::string&))
    : state_(std::make_unique<State>()) {
  state_->keeps_values = keeps_values;
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(State::begin, State::end)
                                           .needsInputs(true)
                                           .needsOutputs(true)
                                           .scopes({at::RecordScope::FUNCTION}));
}

OperatorTrace::~OperatorTrace() {
  at::removeCallback(handle_);
}

std::vector<TracedCall> OperatorTrace::take() {
  return std::exchange(state_->calls, {});
}

std::map<std::string, int> count_calls(const std::vector<TracedCall>& calls) {
  std::map<std::string, int> counts;
  for (const TracedCall& call : calls) ++counts[call.name];
  return counts;
}

}  // namespace outcrop::quantize
