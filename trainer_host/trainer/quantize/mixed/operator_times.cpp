#include "trainer_host/trainer/quantize/mixed/operator_times.hpp"

#include <ATen/record_function.h>

#include <utility>

namespace outcrop::quantize {
namespace {

using Clock = std::chrono::steady_clock;

struct Began final : at::ObserverContext {
  Clock::time_point start;
};

}  // namespace

struct OperatorTimes::State {
  std::vector<TimedCall> calls;
  int depth = 0;
  // LibTorch's callbacks are plain function pointers, called on the thread that registered them.
  static thread_local State* current;

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    ++current->depth;
    auto began = std::make_unique<Began>();
    began->start = Clock::now();
    return began;
  }

  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    const auto now = Clock::now();
    if (--current->depth > 0) return;
    current->calls.push_back({function.name(), static_cast<Began*>(context)->start, now});
  }
};

thread_local OperatorTimes::State* OperatorTimes::State::current = nullptr;

OperatorTimes::OperatorTimes() : state_(std::make_unique<State>()) {
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(State::begin, State::end).scopes({at::RecordScope::FUNCTION}));
}

OperatorTimes::~OperatorTimes() {
  at::removeCallback(handle_);
}

std::vector<TimedCall> OperatorTimes::take() {
  return std::exchange(state_->calls, {});
}

}  // namespace outcrop::quantize
