#include "platform/http/unix_listener.hpp"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace outcrop::http {
namespace fs = std::filesystem;
namespace {

constexpr int backlog = 64;

Result<sockaddr_un> address_of(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::invalid_argument, "the socket path '" + text + "' must have 1 to " +
                                                 std::to_string(sizeof address.sun_path - 1) +
                                                 " bytes");
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Makes room for the new socket, or says who is in the way.
Status clear_stale(const fs::path& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return fail(Error::from_errno("looking at " + path.string()));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return fail(ErrorCode::already_exists,
                path.string() + " exists and is no socket; name another path or remove it");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return fail(Error::from_errno("making a socket"));
  if (::connect(probe.get(), generic(address), sizeof address) == 0) {
    return fail(ErrorCode::already_exists,
                path.string() + " is served already: another process is running");
  }
  if (errno != ECONNREFUSED) return fail(Error::from_errno("probing " + path.string()));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail(Error::from_errno("removing the unused socket " + path.string()));
  }
  return {};
}

Status give_to_group(const fs::path& path, const std::string& name) {
  const group* found = ::getgrnam(name.c_str());
  if (found == nullptr) return fail(ErrorCode::not_found, "there is no group '" + name + "' for the socket " + path.string());
  if (::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) == 0) return {};
  return fail(Error::from_errno("giving the socket " + path.string() + " to the group '" + name +
                                "', which this process must be in (SupplementaryGroups= of its unit)"));
}

}  // namespace

Result<UnixListener> UnixListener::open(const fs::path& path, unsigned mode,
                                        const std::optional<std::string>& group) {
  OUTCROP_TRY(address, address_of(path));
  OUTCROP_CHECK(clear_stale(path, address));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::from_errno("making a socket"));
  // Linux gives the file the mode of the socket: closed to others until chmod below.
  ::fchmod(fd.get(), 0600);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) {
    if (errno == EADDRINUSE) {
      return fail(ErrorCode::already_exists, path.string() + " was taken by another process");
    }
    return fail(Error::from_errno("making the socket " + path.string()));
  }
  UnixListener listener(path, std::move(fd));
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    listener.device_ = info.st_dev;
    listener.inode_ = info.st_ino;
  }
  if (group) OUTCROP_CHECK(give_to_group(path, *group));
  if (::listen(listener.fd_.get(), backlog) != 0 || ::chmod(path.c_str(), mode) != 0) {
    return fail(Error::from_errno("opening the socket " + path.string()));
  }
  return listener;
}

void UnixListener::remove() {
  struct stat info {};
  if (inode_ == 0 || path_.empty() || ::lstat(path_.c_str(), &info) != 0) return;
  if (info.st_ino == inode_ && info.st_dev == device_) ::unlink(path_.c_str());
  inode_ = 0;
}

}  // namespace outcrop::http
