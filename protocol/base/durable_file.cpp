#include "protocol/base/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "protocol/base/unfinished_files.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop {
namespace fs = std::filesystem;
namespace {

Status sync_path(const fs::path& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  if (::fsync(fd.get()) != 0) return fail(Error::from_errno("syncing " + path.string()));
  return {};
}

Status write_all(int fd, BytesView bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail(Error::from_errno("writing " + path.string()));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status write_new_file(const fs::path& path, BytesView bytes) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail(Error::from_errno("creating " + path.string()));
  OUTCROP_CHECK(write_all(fd.get(), bytes, path));
  return {};
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

Status sync_folder(const fs::path& folder) {
  return sync_path(folder, O_RDONLY | O_DIRECTORY);
}

Status write_file_durably(const fs::path& path,
                          const std::function<Status(const fs::path&)>& write) {
  const fs::path temporary = unfinished_name(path);
  const auto finish = [&]() -> Status {
    OUTCROP_CHECK(write(temporary));
    OUTCROP_CHECK(sync_path(temporary, O_RDONLY));
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return fail(Error::from_errno("renaming to " + path.string()));
    }
    return sync_folder(parent_of(path));
  };
  Status status = finish();
  if (!status) ::unlink(temporary.c_str());
  return status;
}

Status write_file_durably(const fs::path& path, BytesView bytes) {
  return write_file_durably(
      path, [&](const fs::path& temporary) { return write_new_file(temporary, bytes); });
}

Status write_file_durably(const fs::path& path, std::string_view text) {
  return write_file_durably(path, as_bytes(text));
}

Status publish_folder(const fs::path& staged, const fs::path& final_path) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(staged, error)) {
    const bool folder = entry.is_directory();
    OUTCROP_CHECK(sync_path(entry.path(), folder ? O_RDONLY | O_DIRECTORY : O_RDONLY));
  }
  if (error) return fail(ErrorCode::io, "listing " + staged.string() + ": " + error.message());
  OUTCROP_CHECK(sync_folder(staged));
  // RENAME_NOREPLACE: two writers of one release must not end with a mixture.
  if (::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, final_path.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) {
      return fail(ErrorCode::already_exists, final_path.string() + " exists already");
    }
    return fail(Error::from_errno("renaming to " + final_path.string()));
  }
  return sync_folder(parent_of(final_path));
}

Result<Bytes> read_file(const fs::path& path, ByteCount limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_argument, path.string() + " is not a regular file");
  }
  const ByteCount size(static_cast<std::uint64_t>(info.st_size));
  if (size > limit) {
    return fail(ErrorCode::invalid_data, path.string() + " has " + size.human() +
                                             ", more than the " + limit.human() + " allowed");
  }
  Bytes bytes(size.value());
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading " + path.string()));
    if (got == 0) return fail(ErrorCode::invalid_data, path.string() + " shrank while being read");
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

Result<std::string> read_text_file(const fs::path& path, ByteCount limit) {
  OUTCROP_TRY(bytes, read_file(path, limit));
  return std::string(as_text(bytes));
}

}  // namespace outcrop
