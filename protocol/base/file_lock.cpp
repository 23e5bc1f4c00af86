#include "protocol/base/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace outcrop {
namespace fs = std::filesystem;
namespace {

Result<UniqueFd> lock(const fs::path& path, mode_t mode, int operation, std::string_view refusal) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  while (::flock(fd.get(), operation) != 0) {
    if (errno == EWOULDBLOCK) return fail(ErrorCode::refused, std::string(refusal));
    if (errno != EINTR) return fail(Error::from_errno("locking " + path.string()));
  }
  return fd;
}

}  // namespace

Result<UniqueFd> lock_file(const fs::path& path, mode_t mode) {
  return lock(path, mode, LOCK_EX, "");
}

Result<UniqueFd> try_lock_file(const fs::path& path, mode_t mode, std::string_view refusal) {
  return lock(path, mode, LOCK_EX | LOCK_NB, refusal);
}

}  // namespace outcrop
