#pragma once

#include <csignal>

namespace outcrop::data {

// While it lives, SIGINT, SIGTERM and SIGHUP ask long work to stop instead of ending the process;
// the former handlers return with the end of the scope. One at a time in a process.
class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  // Whether one of them has arrived. From any thread.
  [[nodiscard]] static bool requested();

 private:
  struct sigaction former_[3];
};

}  // namespace outcrop::data
