#include "protocol/base/program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>

namespace outcrop {
namespace {

constexpr int failed = 1;

std::string& program_name() {
  static std::string name;
  return name;
}

void say(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_name().c_str(), what.c_str());
}

// In a handler: says what the exception in flight is.
void say_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    say("out of memory");
  } catch (const std::exception& error) {
    say(std::string("internal error: ") + error.what() + "; please report it");
  } catch (...) {
    say("internal error of an unknown kind; please report it");
  }
}

// Reached from threads and destructors, where no handler of ours can stand.
[[noreturn]] void end_of_uncaught() {
  if (std::current_exception()) {
    say_exception();
  } else {
    say("internal error: ended without an exception; please report it");
  }
  std::_Exit(failed);
}

// Standard output is opened for reading, so that writing to it fails and is noticed.
void take_closed_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int taken = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    if (taken >= 0 && taken != fd) {
      ::dup2(taken, fd);
      ::close(taken);
    }
  }
}

// A network file system may say only at the end that the disk is full.
bool closes_well(int fd) {
  const int copy = ::dup(fd);
  return copy < 0 || ::close(copy) == 0;
}

int finish_output(int code) {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0 && !std::cout.flush().bad();
  if (flushed && !failed_before && closes_well(STDOUT_FILENO)) return code;
  // An earlier error's number is gone: a write of nothing asks again, where a device answers that.
  if (errno == 0 && ::write(STDOUT_FILENO, "", 0) == 0) errno = EIO;
  say(std::string("standard output cannot be written: ") + std::strerror(errno));
  return code == 0 ? failed : code;
}

}  // namespace

int run_main(std::string_view program, const std::function<int()>& work) {
  program_name() = program;
  take_closed_descriptors();
  std::set_terminate(end_of_uncaught);
  int code = failed;
  try {
    code = work();
  } catch (...) {
    say_exception();
  }
  return finish_output(code);
}

}  // namespace outcrop
