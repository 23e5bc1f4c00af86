#include "tests/support/child_process.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>

namespace outcrop {

ChildProcess::ChildProcess(const std::function<int(int talk)>& run) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("no socket pair");
  }
  talk_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t parent = ::getpid();
  std::fflush(nullptr);
  id_ = ::fork();
  if (id_ < 0) throw std::runtime_error("no process");
  if (id_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  talk_.reset();
  int status = 125;
  try {
    status = run(theirs.get());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::fflush(nullptr);
  ::_exit(status);  // what the parent has to destroy is not destroyed twice
}

ChildProcess::~ChildProcess() {
  kill();
}

std::optional<std::string> ChildProcess::hear() {
  return hear_line(talk_.get());
}

void ChildProcess::say(std::string_view line) {
  say_line(talk_.get(), line);
}

void ChildProcess::kill() {
  if (id_ == 0) return;
  ::kill(id_, SIGKILL);
  wait();
}

int ChildProcess::wait() {
  if (id_ == 0) return status_;
  int status = 0;
  while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  id_ = 0;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

void say_line(int socket, std::string_view line) {
  const std::string whole = std::string(line) + "\n";
  // Nobody hears it: then nobody waits for it either.
  static_cast<void>(::send(socket, whole.data(), whole.size(), MSG_NOSIGNAL));
}

std::optional<std::string> hear_line(int socket) {
  std::string line;
  char c = 0;
  while (true) {
    const ssize_t got = ::recv(socket, &c, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    if (c == '\n') return line;
    line.push_back(c);
  }
}

}  // namespace outcrop
