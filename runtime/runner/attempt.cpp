#include "runtime/runner/attempt.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace outcrop::runtime {

bool can_open(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

bool can_make_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

}  // namespace outcrop::runtime
