#include "platform/service/service.hpp"

#include <utility>  // before Asio

#include <systemd/sd-daemon.h>

#include <cstdint>

#include <boost/asio/steady_timer.hpp>

namespace outcrop::platform {
namespace {

// Failures are not told: the program does its work whether or not systemd hears of it.
void notify(const std::string& state) {
  static_cast<void>(sd_notify(/*unset_environment=*/0, state.c_str()));
}

}  // namespace

void notify_ready() {
  notify("READY=1");
}

void notify_status(const std::string& line) {
  // A line feed would begin another assignment.
  notify("STATUS=" + line.substr(0, line.find('\n')));
}

void notify_stopping() {
  notify("STOPPING=1");
}

class Watchdog::Impl : public std::enable_shared_from_this<Watchdog::Impl> {
 public:
  Impl(const boost::asio::any_io_executor& executor, std::chrono::microseconds interval)
      : timer_(executor), interval_(interval) {}

  void ping() {
    notify("WATCHDOG=1");
    timer_.expires_after(interval_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (self && !error) self->ping();
    });
  }
  void stop() { timer_.cancel(); }

 private:
  boost::asio::steady_timer timer_;
  std::chrono::microseconds interval_;
};

Watchdog::Watchdog(boost::asio::any_io_executor executor) {
  std::uint64_t deadline = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/0, &deadline) <= 0) return;
  impl_ = std::make_shared<Impl>(executor, std::chrono::microseconds(deadline / 3));
  impl_->ping();
}

Watchdog::~Watchdog() {
  if (impl_) impl_->stop();
}

}  // namespace outcrop::platform
