#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::http {

// A listening Unix socket under a name in the file system.
class UnixListener {
 public:
  // Errors: already_exists where somebody listens there or the name is another kind of file's;
  // invalid_argument where the path is too long for a socket; io. A socket that nobody listens on,
  // left by a process that was killed, is replaced. Nobody but the owner can connect before the
  // file has its `group` and `mode`. not_found where there is no such group.
  [[nodiscard]] static Result<UnixListener> open(const std::filesystem::path& path, unsigned mode,
                                                 const std::optional<std::string>& group = std::nullopt);

  UnixListener(UnixListener&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::move(other.fd_)),
        device_(other.device_),
        inode_(std::exchange(other.inode_, 0)) {}
  UnixListener& operator=(UnixListener&&) noexcept = delete;
  ~UnixListener() { remove(); }

  [[nodiscard]] int release() { return fd_.release(); }
  // Removes the file if it is still ours.
  void remove();

 private:
  UnixListener(std::filesystem::path path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;  // 0: nothing to remove
};

}  // namespace outcrop::http
