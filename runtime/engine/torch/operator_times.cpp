#include "runtime/engine/torch/operator_times.hpp"

#include <ATen/record_function.h>

#include <string>
#include <utility>

namespace outcrop::runtime {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

struct OperatorTimes::State {
  struct Begun {
    std::string name;
    Clock::time_point start;
  };
  std::vector<Begun> begun;
  int depth = 0;
  // LibTorch's callbacks are plain function pointers, called on the thread that registered them.
  static thread_local State* current;

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
    if (current->depth++ == 0) current->begun.push_back({function.name(), Clock::now()});
    return nullptr;
  }

  static void end(const at::RecordFunction& /*function*/, at::ObserverContext* /*context*/) {
    --current->depth;
  }
};

thread_local OperatorTimes::State* OperatorTimes::State::current = nullptr;

OperatorTimes::OperatorTimes() : state_(std::make_unique<State>()) {
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(State::begin, State::end).scopes({at::RecordScope::LITE_INTERPRETER}));
}

OperatorTimes::~OperatorTimes() {
  at::removeCallback(handle_);
}

std::vector<OperatorTime> OperatorTimes::take() {
  Clock::time_point next = Clock::now();
  const auto begun = std::exchange(state_->begun, {});
  std::vector<OperatorTime> times(begun.size());
  for (std::size_t i = begun.size(); i-- > 0;) {
    times[i] = {begun[i].name, next - begun[i].start};
    next = begun[i].start;
  }
  return times;
}

}  // namespace outcrop::runtime
