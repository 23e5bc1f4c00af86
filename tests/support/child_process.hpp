#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/unique_fd.hpp"

namespace outcrop {

// A function in a process of its own and a socket to talk through, a line at a time. The process
// dies with this object, and with the thread that started it. Start it before any thread runs: a
// child has but the one that forked. Throws std::runtime_error where there is no process to be had.
class ChildProcess {
 public:
  // What `run` returns is the exit status; `talk` is its end of the socket.
  explicit ChildProcess(const std::function<int(int talk)>& run);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  // The next line that it says; nothing where it ended without one.
  [[nodiscard]] std::optional<std::string> hear();
  void say(std::string_view line);

  void kill();  // SIGKILL
  // How it ended: its exit status, or 128 + the signal that killed it.
  int wait();

 private:
  pid_t id_ = 0;
  int status_ = 0;
  UniqueFd talk_;
};

// A line on such a socket, from and to either end.
void say_line(int socket, std::string_view line);
[[nodiscard]] std::optional<std::string> hear_line(int socket);

}  // namespace outcrop
