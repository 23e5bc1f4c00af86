#include "trainer_host/release/new_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "protocol/base/unique_fd.hpp"

namespace outcrop::release {
namespace {

Error errno_error(const std::string& what) {
  if (errno == EEXIST) return {ErrorCode::already_exists, what + ": exists already"};
  return Error::from_errno(what);
}

}  // namespace

Status write_new_file(const std::filesystem::path& path, BytesView bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return fail(errno_error("creating " + path.string()));
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      Error error = Error::from_errno("writing " + path.string());
      ::unlink(path.c_str());
      return fail(std::move(error));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status write_new_file(const std::filesystem::path& path, std::string_view text) {
  return write_new_file(path, as_bytes(text));
}

Status make_folder(const std::filesystem::path& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) != 0) {
    return fail(errno_error("making the folder " + path.string()));
  }
  return {};
}

}  // namespace outcrop::release
