#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

namespace outcrop::platform {

// What a program that runs for long owes its machine: a log, and word to
// systemd that it lives (sd_notify(3);
// https://www.freedesktop.org/software/systemd/man/sd_notify.html).

// Sends the log to stderr: under systemd (JOURNAL_STREAM) with the priority prefixes that journald
// reads and without time stamps, else with time and level. A message is one line of at most 4 KiB, and control characters in it
// but tabs are escapes: others choose what is told of them. `level`: trace debug info warning error.
void start_log(std::string_view program, std::string_view level);

// Tells systemd, where NOTIFY_SOCKET is set: else does nothing.
void notify_ready();
void notify_status(const std::string& line);  // STATUS=, what `systemctl status` shows
void notify_stopping();

// Pings systemd's watchdog at a third of WATCHDOG_USEC from `executor` itself, so that the pings
// stop when its loop hangs. Nothing where WATCHDOG_USEC is unset or meant for another process.
class Watchdog {
 public:
  explicit Watchdog(boost::asio::any_io_executor executor);
  ~Watchdog();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::platform
