#include "trainer_host/trainer/data/stop_signal.hpp"

#include <atomic>

namespace outcrop::data {
namespace {

constexpr int signals[3]{SIGINT, SIGTERM, SIGHUP};
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

void request_stop(int /*signal*/) {
  stop_requested = true;
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = false;
  struct sigaction action {};
  action.sa_handler = request_stop;
  for (int i = 0; i < 3; ++i) ::sigaction(signals[i], &action, &former_[i]);
}

StopSignal::~StopSignal() {
  for (int i = 0; i < 3; ++i) ::sigaction(signals[i], &former_[i], nullptr);
}

bool StopSignal::requested() {
  return stop_requested;
}

}  // namespace outcrop::data
