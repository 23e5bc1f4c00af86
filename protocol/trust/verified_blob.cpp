#include "protocol/trust/verified_blob.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace outcrop::trust {
namespace {

// From <linux/memfd.h> of 6.3 and later: not executable for good, which implies sealing.
constexpr unsigned memfd_noexec_seal = 0x8U;

Result<UniqueFd> new_memory_file() {
  UniqueFd fd(::memfd_create("outcrop-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING | memfd_noexec_seal));
  if (!fd && errno == EINVAL) {  // a kernel before 6.3
    fd.reset(::memfd_create("outcrop-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!fd) return fail(Error::from_errno("creating a memory file"));
  return fd;
}

Status append_all(int fd, BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == ENOSPC) {
      return fail(ErrorCode::out_of_memory, "copying a blob to memory: no memory left");
    }
    if (written < 0) return fail(Error::from_errno("copying a blob to memory"));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status copy_exactly(int from, int to, ByteCount size) {
  Bytes buffer(std::size_t{1} << 18);
  std::uint64_t done = 0;
  while (done < size.value()) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size.value() - done));
    const ssize_t got = ::pread(from, buffer.data(), wanted, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading a blob"));
    if (got == 0) return fail(ErrorCode::untrusted, "the blob shrank while being read");
    OUTCROP_CHECK(append_all(to, BytesView(buffer).first(static_cast<std::size_t>(got))));
    done += static_cast<std::uint64_t>(got);
  }
  return {};
}

// Piece by piece, giving the pages of each back to the memory file behind it: hashing a blob of
// any size adds no more than a piece to what this process holds.
Sha256Digest hash_mapped(BytesView mapping) {
  constexpr std::size_t piece = std::size_t{1} << 20;
  Sha256Hasher hasher;
  for (std::size_t done = 0; done < mapping.size(); done += piece) {
    const BytesView part = mapping.subspan(done, std::min(piece, mapping.size() - done));
    hasher.update(part);
    ::madvise(const_cast<std::byte*>(part.data()), part.size(), MADV_DONTNEED);
  }
  return hasher.finish();
}

}  // namespace

VerifiedBlob::VerifiedBlob(VerifiedBlob&& other) noexcept
    : fd_(std::move(other.fd_)),
      mapping_(std::exchange(other.mapping_, {})),
      digest_(other.digest_) {}

VerifiedBlob& VerifiedBlob::operator=(VerifiedBlob&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(mapping_, other.mapping_);
  std::swap(digest_, other.digest_);
  return *this;
}

VerifiedBlob::~VerifiedBlob() {
  if (!mapping_.empty()) {
    ::munmap(const_cast<std::byte*>(mapping_.data()), mapping_.size());
  }
}

Result<VerifiedBlob> VerifiedBlob::seal_and_hash(UniqueFd memory, ByteCount size,
                                                 const Sha256Digest& digest) {
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(memory.get(), F_ADD_SEALS, seals) != 0) {
    return fail(Error::from_errno("sealing a memory file"));
  }
  VerifiedBlob blob;
  blob.fd_ = std::move(memory);
  blob.digest_ = digest;
  if (size.value() > 0) {
    void* mapped = ::mmap(nullptr, size.value(), PROT_READ, MAP_PRIVATE, blob.fd_.get(), 0);
    if (mapped == MAP_FAILED) return fail(Error::from_errno("mapping a sealed blob"));
    blob.mapping_ = BytesView(static_cast<const std::byte*>(mapped), size.value());
  }
  // Only now: what is hashed can no longer change.
  if (const Sha256Digest found = hash_mapped(blob.mapping_); found != digest) {
    return fail(ErrorCode::untrusted,
                "the digest is " + found.hex() + ", but should be " + digest.hex());
  }
  return blob;
}

Result<VerifiedBlob> verify_blob(int fd, const Sha256Digest& digest, ByteCount size) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail(Error::from_errno("reading a blob"));
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::untrusted, "a blob must be a regular file");
  if (static_cast<std::uint64_t>(info.st_size) != size.value()) {
    return fail(ErrorCode::untrusted, "the length is " + std::to_string(info.st_size) +
                                          " bytes, but should be " + std::to_string(size.value()));
  }
  OUTCROP_TRY(memory, new_memory_file());
  OUTCROP_CHECK(copy_exactly(fd, memory.get(), size));
  return VerifiedBlob::seal_and_hash(std::move(memory), size, digest);
}

Result<VerifiedBlob> verify_blob(const std::filesystem::path& path, const Sha256Digest& digest,
                                 ByteCount size) {
  // O_NONBLOCK: a pipe put in a blob's place must not hang the verifier.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  auto blob = verify_blob(fd.get(), digest, size);
  if (!blob) return fail(blob.error().context(path.string()));
  return blob;
}

Result<VerifiedBlob> verify_bytes(BytesView bytes, const Sha256Digest& digest) {
  OUTCROP_TRY(memory, new_memory_file());
  OUTCROP_CHECK(append_all(memory.get(), bytes));
  return VerifiedBlob::seal_and_hash(std::move(memory), ByteCount(bytes.size()), digest);
}

}  // namespace outcrop::trust
