#include "tests/support/plain_file_system.hpp"

#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace {
std::atomic<int> plain{0};
}

extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to,
                         unsigned flags) noexcept {
  if (plain > 0 && flags != 0) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

extern "C" int flock(int fd, int operation) noexcept {
  if (plain > 0) {
    errno = ENOLCK;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

namespace outcrop {

PlainFileSystem::PlainFileSystem() {
  ++plain;
}
PlainFileSystem::~PlainFileSystem() {
  --plain;
}

}  // namespace outcrop
