#include "trainer_host/trainer/quantize/operator_counter.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <utility>

namespace outcrop::quantize {

struct OperatorCounter::State {
  std::vector<std::string> recorded;
  std::map<std::string, int> counts;
  std::vector<Call> calls;
  // LibTorch's callback is a plain function pointer, called on the thread that registered it.
  static thread_local State* current;

  static std::unique_ptr<at::ObserverContext> on_operator(const at::RecordFunction& function) {
    const std::string name = function.name();
    ++current->counts[name];
    const auto& recorded = current->recorded;
    if (std::find(recorded.begin(), recorded.end(), name) != recorded.end()) {
      // LibTorch hands over the interpreter's whole stack; the arguments are its end.
      const auto schema = c10::Dispatcher::singleton().findSchema(*function.operator_name());
      const auto inputs = function.inputs();
      const auto arguments = static_cast<std::ptrdiff_t>(schema->schema().arguments().size());
      current->calls.push_back(
          {name, std::vector<c10::IValue>(inputs.end() - arguments, inputs.end())});
    }
    return nullptr;
  }
};

thread_local OperatorCounter::State* OperatorCounter::State::current = nullptr;

OperatorCounter::OperatorCounter(std::vector<std::string> recorded)
    : state_(std::make_unique<State>()) {
  state_->recorded = std::move(recorded);
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(State::on_operator)
                                           .needsInputs(!state_->recorded.empty())
                                           .scopes({at::RecordScope::FUNCTION}));
}

OperatorCounter::~OperatorCounter() {
  at::removeCallback(handle_);
}

const std::map<std::string, int>& OperatorCounter::counts() const {
  return state_->counts;
}
const std::vector<OperatorCounter::Call>& OperatorCounter::calls() const {
  return state_->calls;
}

}  // namespace outcrop::quantize
