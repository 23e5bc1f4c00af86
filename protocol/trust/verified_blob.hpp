#pragma once

#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::trust {

// Bytes that are what a digest says, and stay so: a memory file (memfd) that was sealed against
// writing, growing, shrinking and further seals *before* it was hashed. Nobody who holds the
// descriptor, in this process or another, can change what was hashed, so whoever loads from fd()
// loads exactly what was verified. Only the verify functions below make one.
//
// Movable, not copyable. Reading is safe from any thread. The descriptor is close-on-exec, its
// file offset is shared by all who hold it: read with pread or mmap.
class VerifiedBlob {
 public:
  VerifiedBlob(VerifiedBlob&& other) noexcept;
  VerifiedBlob& operator=(VerifiedBlob&& other) noexcept;
  VerifiedBlob(const VerifiedBlob&) = delete;
  VerifiedBlob& operator=(const VerifiedBlob&) = delete;
  ~VerifiedBlob();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] ByteCount size() const { return ByteCount(mapping_.size()); }
  [[nodiscard]] const Sha256Digest& digest() const { return digest_; }
  // The content, mapped read-only for as long as this object lives.
  [[nodiscard]] BytesView bytes() const { return mapping_; }

 private:
  friend Result<VerifiedBlob> verify_blob(int fd, const Sha256Digest& digest, ByteCount size);
  friend Result<VerifiedBlob> verify_bytes(BytesView bytes, const Sha256Digest& digest);
  VerifiedBlob() = default;
  static Result<VerifiedBlob> seal_and_hash(UniqueFd memory, ByteCount size,
                                            const Sha256Digest& digest);

  UniqueFd fd_;
  BytesView mapping_;
  Sha256Digest digest_;
};

// Copies the file into sealed memory and hashes that copy. Errors: untrusted where length or
// digest differ (a file of another length is refused before anything is copied), not_found, io,
// out_of_memory.
[[nodiscard]] Result<VerifiedBlob> verify_blob(const std::filesystem::path& path,
                                               const Sha256Digest& digest, ByteCount size);
// The same from an open regular file, read from its start; its offset is left alone.
[[nodiscard]] Result<VerifiedBlob> verify_blob(int fd, const Sha256Digest& digest, ByteCount size);
// The same from bytes at hand.
[[nodiscard]] Result<VerifiedBlob> verify_bytes(BytesView bytes, const Sha256Digest& digest);

}  // namespace outcrop::trust
