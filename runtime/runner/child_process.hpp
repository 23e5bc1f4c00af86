#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::runtime {

// How a child ended.
struct ChildEnd {
  bool by_signal = false;
  int number = 0;  // of the signal, or the exit status

  [[nodiscard]] std::string describe() const;  // "ended by signal 11 (Segmentation fault)"
};

// A program in a process group of its own, with a socket as descriptor 3, nothing on standard
// input, and its output kept here. Every other descriptor is closed, the environment holds only
// what is passed. The kernel kills the child when the thread that started it ends.
// Destruction kills the group and reaps the child.
class ChildProcess {
 public:
  static constexpr int socket_descriptor = 3;

  // `command` is a program's path and its arguments. not_found and io when it cannot be started.
  [[nodiscard]] static Result<ChildProcess> start(const std::vector<std::string>& command,
                                                  const std::vector<std::string>& environment,
                                                  UniqueFd socket);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  [[nodiscard]] pid_t id() const { return id_; }

  // Waits for the child to end by itself, then kills the whole group and reaps it.
  ChildEnd end(std::chrono::milliseconds patience);

  // The last of what the child wrote to standard output and error: 4 KiB, printable.
  [[nodiscard]] std::string last_words();

  // Replaces the child's limit on CPU time by what it has used plus `more`.
  void allow_cpu_time(std::chrono::seconds more);

  // From /proc, whose files are opened before the program is started: a confined child cannot be
  // traced, and where /proc is mounted with hidepid (ProtectProc= of a unit) the kernel hides such
  // a process from its own parent. not_found once the child is gone.
  [[nodiscard]] Result<std::chrono::milliseconds> cpu_time() const;
  [[nodiscard]] Result<ByteCount> resident_memory() const;
  [[nodiscard]] Result<ByteCount> peak_memory() const;
  // A numeric line of /proc/<pid>/status: "Seccomp", "NoNewPrivs", "VmHWM".
  [[nodiscard]] Result<std::uint64_t> status_line(std::string_view key) const;

 private:
  ChildProcess(pid_t id, UniqueFd log, UniqueFd stat, UniqueFd status)
      : id_(id), log_(std::move(log)), stat_(std::move(stat)), status_(std::move(status)) {}

  pid_t id_ = -1;
  UniqueFd log_;
  UniqueFd stat_;
  UniqueFd status_;
  std::string log_tail_;
  ChildEnd ended_;
};

}  // namespace outcrop::runtime
