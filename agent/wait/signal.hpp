#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <stop_token>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace outcrop::agent {

// Thrown out of an await whose std::stop_token was asked to stop, before it began or while it lasted. Everything up to
// whoever asked is unwound, as Asio does it by its cancellation slots from Boost 1.77 on.
struct Cancelled {};

inline void throw_if_cancelled(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Cancelled{};
}

// "Something changed: look again." One coroutine waits, anybody on the same executor notifies or asks it to stop.
// Nothing is counted: whoever waits checks its condition before each wait.
class Signal {
 public:
  explicit Signal(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {}

  void notify() { timer_.cancel(); }
  // Throws Cancelled.
  [[nodiscard]] boost::asio::awaitable<void> wait(std::stop_token stop = {});
  // Returns at the latest when the time is over. Throws Cancelled.
  [[nodiscard]] boost::asio::awaitable<void> wait_until(std::chrono::steady_clock::time_point deadline,
                                                        std::stop_token stop = {});

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace outcrop::agent
