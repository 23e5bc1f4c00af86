#include "agent/pull/partial_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace outcrop::agent {

Result<PartialFile> PartialFile::open(std::filesystem::path path, ByteCount size) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  PartialFile file(std::move(path), std::move(fd));
  OUTCROP_TRY(there, file.size());
  if (there > size && ::ftruncate(file.fd_.get(), static_cast<off_t>(size.value())) != 0) {
    return fail(Error::from_errno("cutting " + file.path_.string()));
  }
  return file;
}

Result<ByteCount> PartialFile::size() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return fail(Error::from_errno("reading " + path_.string()));
  return ByteCount(static_cast<std::uint64_t>(info.st_size));
}

Result<BytesView> PartialFile::read(ByteCount offset, std::span<std::byte> buffer) const {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::pread(fd_.get(), buffer.data() + filled, buffer.size() - filled,
                                static_cast<off_t>(offset.value() + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading " + path_.string()));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return BytesView(buffer.first(filled));
}

Status PartialFile::write(ByteCount offset, BytesView bytes) {
  auto at = static_cast<off_t>(offset.value());
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_.get(), bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Error::from_errno("writing " + path_.string()));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    at += written;
  }
  return {};
}

Status PartialFile::sync() const {
  if (::fdatasync(fd_.get()) != 0) return fail(Error::from_errno("syncing " + path_.string()));
  return {};
}

}  // namespace outcrop::agent
