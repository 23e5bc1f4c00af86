#pragma once

#include <chrono>
#include <filesystem>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::fleet {

// Blobs by digest in a folder that several workers may share: <folder>/<first two digits>/<sha256>.
// A file of that name is complete and was verified when it was put there; a disk may have damaged
// it since. <sha256>.part beside it is an upload that is not complete. Several threads and
// processes may use one folder.
class BlobStore {
 public:
  [[nodiscard]] static Result<BlobStore> open(std::filesystem::path folder);

  [[nodiscard]] bool has(const trust::Sha256Digest& digest) const;
  [[nodiscard]] std::filesystem::path file(const trust::Sha256Digest& digest) const;
  // not_found where there is no such blob, untrusted where the disk has changed it.
  [[nodiscard]] Result<Bytes> read(const trust::Sha256Digest& digest, ByteCount limit) const;

  // Whether the blob is here and still is what its name says, and can be read: reads all of it, on
  // whatever thread asks.
  [[nodiscard]] bool is_whole(const trust::Sha256Digest& digest) const;
  // The same, and one that is not is removed, with a word in the log: no board would take it, and
  // it can be uploaded again. An error where that cannot be told (io).
  [[nodiscard]] Result<bool> check(const trust::Sha256Digest& digest) const;
  // A blob that nobody wants any more; no error where it is not here.
  [[nodiscard]] Status remove(const trust::Sha256Digest& digest) const;
  // Partial files that got no piece for so long; how many there were.
  [[nodiscard]] Result<std::size_t> remove_uploads(std::chrono::seconds idle) const;
  // Every blob that is here, whole or not, in the order of their digests.
  [[nodiscard]] Result<std::vector<trust::Sha256Digest>> list() const;

  // How many bytes are there: all of a blob, or what was uploaded so far.
  [[nodiscard]] ByteCount uploaded(const trust::Sha256Digest& digest) const;

  // An upload in pieces: bytes at `offset` of the blob's partial file, which must continue where it
  // ends (else `invalid_argument`, naming where). When `size` is reached the digest is checked
  // (untrusted, and the partial removed) and the blob appears; that reads the whole file, half a
  // second for a gigabyte. Returns how many bytes are there now; `size` where the blob was there
  // already. A piece that failed (no_space) leaves nothing of itself: the upload can go on later.
  [[nodiscard]] Result<ByteCount> upload(const trust::Sha256Digest& digest, ByteCount size,
                                         ByteCount offset, BytesView bytes);

 private:
  explicit BlobStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

// Whether what is open is what has that name now: files are removed and replaced.
[[nodiscard]] bool is_still(int fd, const std::filesystem::path& path);

}  // namespace outcrop::fleet
