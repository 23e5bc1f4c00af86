#pragma once

#include <utility>  // before Asio

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace outcrop::agent {

// "Something changed: look again." One coroutine waits, anybody on the same executor notifies.
// Nothing is counted: whoever waits checks its condition before each wait.
class Signal {
 public:
  explicit Signal(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {}

  void notify() { timer_.cancel(); }
  [[nodiscard]] boost::asio::awaitable<void> wait();
  // Returns at the latest when the time is over.
  [[nodiscard]] boost::asio::awaitable<void> wait_until(
      std::chrono::steady_clock::time_point deadline);

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace outcrop::agent
