#include "protocol/base/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace outcrop {
namespace fs = std::filesystem;
namespace {

// EBADF: NFS wants a descriptor that may write for a lock that flock(2) grants to any.
bool has_no_locks(int number) {
  return number == ENOLCK || number == EOPNOTSUPP || number == ENOSYS || number == EBADF;
}

// An abstract socket's name is taken by one process of a machine and freed with it.
Result<UniqueFd> take_name_of(const UniqueFd& file, const fs::path& path,
                              std::string_view refusal) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail(Error::from_errno("locking " + path.string()));
  const std::string name =
      "outcrop-lock-" + std::to_string(info.st_dev) + "-" + std::to_string(info.st_ino);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);  // behind a zero: abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0) {
    return socket;
  }
  if (errno == EADDRINUSE) return fail(ErrorCode::refused, std::string(refusal));
  return fail(Error::from_errno("locking " + path.string()));
}

Result<UniqueFd> take(UniqueFd file, const fs::path& path, bool wait, std::string_view refusal) {
  while (::flock(file.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return fail(ErrorCode::refused, std::string(refusal));
    if (!has_no_locks(errno)) return fail(Error::from_errno("locking " + path.string()));
    while (true) {
      auto name = take_name_of(file, path, refusal);
      if (name || !wait || name.error().code() != ErrorCode::refused) return name;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  return file;
}

Result<UniqueFd> open_lock_file(const fs::path& path, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  return fd;
}

}  // namespace

Result<UniqueFd> lock_file(const fs::path& path, mode_t mode) {
  OUTCROP_TRY(file, open_lock_file(path, mode));
  return lock_open_file(std::move(file), path);
}

Result<UniqueFd> try_lock_file(const fs::path& path, mode_t mode, std::string_view refusal) {
  OUTCROP_TRY(file, open_lock_file(path, mode));
  return try_lock_open_file(std::move(file), path, refusal);
}

Result<UniqueFd> lock_open_file(UniqueFd file, const fs::path& path) {
  return take(std::move(file), path, true, "");
}

Result<UniqueFd> try_lock_open_file(UniqueFd file, const fs::path& path,
                                    std::string_view refusal) {
  return take(std::move(file), path, false, refusal);
}

}  // namespace outcrop
