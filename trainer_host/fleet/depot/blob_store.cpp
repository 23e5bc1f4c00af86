#include "trainer_host/fleet/depot/blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"

namespace outcrop::fleet {
namespace fs = std::filesystem;
namespace {

fs::path partial_of(fs::path file) {
  file += ".part";
  return file;
}

// 0 where there is no such file.
ByteCount size_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  return ByteCount(static_cast<std::uint64_t>(info.st_size));
}

Status write_at(int fd, ByteCount offset, BytesView bytes, const fs::path& path) {
  auto at = static_cast<off_t>(offset.value());
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Error::from_errno("writing " + path.string()));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    at += written;
  }
  return {};
}

struct LockedFile {
  UniqueFd fd;
  UniqueFd lock;
};

// The partial file, locked against other workers until both descriptors are closed.
Result<LockedFile> lock_partial(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) {
    return fail(ErrorCode::io, "making " + path.parent_path().string() + ": " + error.message());
  }
  while (true) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) return fail(Error::from_errno("opening " + path.string()));
    OUTCROP_TRY(lock, lock_open_file(UniqueFd(::dup(fd.get())), path));
    // Whoever held the lock may have renamed or removed the file meanwhile.
    if (is_still(fd.get(), path)) return LockedFile{std::move(fd), std::move(lock)};
  }
}

Status finish(int fd, const fs::path& partial, const fs::path& file,
              const trust::Sha256Digest& digest) {
  OUTCROP_TRY(found, trust::sha256_file(partial));
  if (found != digest) {
    ::unlink(partial.c_str());
    return fail(ErrorCode::untrusted, "what was uploaded as blob " + digest.hex() +
                                          " has the digest " + found.hex() +
                                          "; it was removed, upload it again");
  }
  if (::fsync(fd) != 0) return fail(Error::from_errno("syncing " + partial.string()));
  if (::rename(partial.c_str(), file.c_str()) != 0) {
    return fail(Error::from_errno("renaming to " + file.string()));
  }
  OUTCROP_CHECK(sync_folder(file.parent_path()));
  return sync_folder(file.parent_path().parent_path());
}

}  // namespace

bool is_still(int fd, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

Result<BlobStore> BlobStore::open(fs::path folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder, error)) {
    return fail(ErrorCode::io, "opening the blob store " + folder.string() + ": " +
                                   (error ? error.message() : "it is not a folder"));
  }
  return BlobStore(std::move(folder));
}

fs::path BlobStore::file(const trust::Sha256Digest& digest) const {
  const std::string name = digest.hex();
  return folder_ / name.substr(0, 2) / name;
}

bool BlobStore::has(const trust::Sha256Digest& digest) const {
  struct stat info {};
  return ::stat(file(digest).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool BlobStore::is_whole(const trust::Sha256Digest& digest) const {
  return trust::sha256_file(file(digest)) == digest;
}

Result<bool> BlobStore::check(const trust::Sha256Digest& digest) const {
  const fs::path path = file(digest);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  if (is_whole(digest)) return true;
  if (!is_still(fd.get(), path)) return has(digest);  // another one was put there meanwhile
  spdlog::error("blob {} is damaged and was removed: publish its release again", path.string());
  if (::unlink(path.c_str()) != 0) return fail(Error::from_errno("removing " + path.string()));
  OUTCROP_CHECK(sync_folder(path.parent_path()));
  return false;
}

Status BlobStore::remove(const trust::Sha256Digest& digest) const {
  const fs::path path = file(digest);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail(Error::from_errno("removing " + path.string()));
  }
  return {};
}

Result<std::size_t> BlobStore::remove_uploads(std::chrono::seconds idle) const {
  std::size_t removed = 0;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::recursive_directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.extension() != ".part" || !trust::Sha256Digest::from_hex(path.stem().string())) continue;
    std::error_code gone;
    const auto written = fs::last_write_time(path, gone);
    if (gone || now - written < idle) continue;
    // Under its lock: whoever goes on with it right now has written to it, or finds it gone.
    OUTCROP_TRY(locked, lock_partial(path));
    if (now - fs::last_write_time(path, gone) < idle || gone) continue;
    if (::unlink(path.c_str()) == 0) ++removed;
  }
  if (error) return fail(ErrorCode::io, "listing " + folder_.string() + ": " + error.message());
  return removed;
}

Result<std::vector<trust::Sha256Digest>> BlobStore::list() const {
  std::vector<trust::Sha256Digest> found;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto digest = trust::Sha256Digest::from_hex(entry->path().filename().string());
    if (digest) found.push_back(*digest);
  }
  if (error) return fail(ErrorCode::io, "listing " + folder_.string() + ": " + error.message());
  std::sort(found.begin(), found.end());
  return found;
}

ByteCount BlobStore::uploaded(const trust::Sha256Digest& digest) const {
  return size_of(has(digest) ? file(digest) : partial_of(file(digest)));
}

Result<Bytes> BlobStore::read(const trust::Sha256Digest& digest, ByteCount limit) const {
  OUTCROP_TRY(bytes, read_file(file(digest), limit));
  if (trust::sha256(BytesView(bytes)) != digest) {
    return fail(ErrorCode::untrusted, "blob " + file(digest).string() +
                                          " is damaged: publish the release again");
  }
  return bytes;
}

Result<ByteCount> BlobStore::upload(const trust::Sha256Digest& digest, ByteCount size,
                                    ByteCount offset, BytesView bytes) {
  if (has(digest)) return size_of(file(digest));
  if (offset > size || bytes.size() > size.value() - offset.value()) {
    return fail(ErrorCode::invalid_argument,
                "blob " + digest.hex() + " was announced with " + std::to_string(size.value()) +
                    " bytes; a piece of " + std::to_string(bytes.size()) + " at " +
                    std::to_string(offset.value()) + " goes beyond");
  }
  const fs::path partial = partial_of(file(digest));
  OUTCROP_TRY(locked, lock_partial(partial));
  const UniqueFd& fd = locked.fd;
  if (has(digest)) {  // it appeared while this one waited for the lock
    ::unlink(partial.c_str());
    return size_of(file(digest));
  }
  ByteCount there = size_of(partial);
  if (there > size) {  // of an upload that announced more: whatever it is, it is not this blob
    if (::ftruncate(fd.get(), 0) != 0) return fail(Error::from_errno("emptying " + partial.string()));
    there = ByteCount(0);
  }
  if (offset != there) {
    return fail(ErrorCode::invalid_argument, "the upload of blob " + digest.hex() + " goes on at " +
                                                 std::to_string(there.value()) + ", not at " +
                                                 std::to_string(offset.value()));
  }
  if (auto written = write_at(fd.get(), offset, bytes, partial); !written) {
    // Nothing half: where even this fails, the next piece is told where the file ends.
    if (::ftruncate(fd.get(), static_cast<off_t>(offset.value())) != 0) ::unlink(partial.c_str());
    return fail(std::move(written).error());
  }
  const ByteCount now(offset.value() + bytes.size());
  if (now == size) OUTCROP_CHECK(finish(fd.get(), partial, file(digest), digest));
  return now;
}

}  // namespace outcrop::fleet
