#include "trainer_host/trainer/quantize/operator_counter.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <utility>

namespace outcrop::quantize {
namespace {

struct Depth final : at::ObserverContext {};

}  // namespace

struct OperatorCounter::State {
  std::vector<std::string> recorded;
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
    return std::vector<c10::IValue>(inputs.end() - arguments, inputs.end());
  }

  static std::unique_ptr<at::ObserverContext> on_operator(const at::RecordFunction& function) {
    const std::string name = function.name();
    const bool outermost = current->depth++ == 0;
    if (outermost) ++current->counts[name];
    if (outermost && current->is_recorded(name)) current->calls.push_back({name, inputs_of(function)});
    return std::make_unique<Depth>();
  }

  static void after_operator(const at::RecordFunction&, at::ObserverContext* context) {
    if (context != nullptr) --current->depth;
  }
};

thread_local OperatorCounter::State* OperatorCounter::State::current = nullptr;

OperatorCounter::OperatorCounter(std::vector<std::string> recorded)
    : state_(std::make_unique<State>()) {
  state_->recorded = std::move(recorded);
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(State::on_operator, State::after_operator)
          .needsInputs(!state_->recorded.empty())
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
