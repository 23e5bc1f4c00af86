#include "protocol/base/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "protocol/base/regular_file.hpp"
#include "protocol/base/unfinished_files.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/base/vacant_folder.hpp"

namespace outcrop {
namespace fs = std::filesystem;
namespace {

// A file system that has no fsync of folders (EINVAL) orders renames by itself or not at all: that
// is no failure.
Status sync_path(const fs::path& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  if (::fsync(fd.get()) == 0) return {};
  if ((flags & O_DIRECTORY) != 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return {};
  return fail(Error::from_errno("syncing " + path.string()));
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

tl::unexpected<Error> exists_already(const fs::path& path) {
  return fail(ErrorCode::already_exists, path.string() + " exists already");
}

// Renames what must not replace anything: two writers of one release must not end with a mixture.
// The flag for that is refused by many file systems (NFS, FUSE, 9p, Gluster). A plain rename of a
// folder replaces nothing but an empty one; a file is looked for first.
Status rename_new(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  const bool refuses_flag = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
  if (refuses_flag) {
    std::error_code error;
    if (fs::exists(fs::symlink_status(to, error))) return exists_already(to);
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
  }
  if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return exists_already(to);
  return fail(Error::from_errno("renaming to " + to.string()));
}

Status sync_tree(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const bool is_folder = entry.is_directory();
    OUTCROP_CHECK(sync_path(entry.path(), is_folder ? O_RDONLY | O_DIRECTORY : O_RDONLY));
  }
  if (error) return fail(ErrorCode::io, "listing " + folder.string() + ": " + error.message());
  return sync_folder(folder);
}

// In the reverse order of their names. Half moved, a data set lacks partners, a release blobs and a
// key store metadata: nobody takes it for whole.
Status move_entries(const fs::path& staged, const fs::path& final_path) {
  std::vector<fs::path> names;
  std::error_code error;
  if (!is_vacant(final_path)) return exists_already(final_path);
  for (fs::directory_iterator entry(staged, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  if (error) return fail(ErrorCode::io, "listing " + staged.string() + ": " + error.message());
  std::sort(names.rbegin(), names.rend());
  for (std::size_t i = 0; i < names.size(); ++i) {
    Status moved = rename_new(staged / names[i], final_path / names[i]);
    if (moved) continue;
    while (i-- > 0) fs::rename(final_path / names[i], staged / names[i], error);
    return moved;
  }
  fs::remove(staged, error);
  return sync_folder(final_path);
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
  OUTCROP_CHECK(sync_tree(staged));
  if (staged == final_path / staged.filename()) return move_entries(staged, final_path);
  OUTCROP_CHECK(rename_new(staged, final_path));
  return sync_folder(parent_of(final_path));
}

Result<Bytes> read_file(const fs::path& path, ByteCount limit) {
  OUTCROP_TRY(fd, open_regular_file(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
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
