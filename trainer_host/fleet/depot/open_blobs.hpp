#pragma once

#include <list>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::fleet {

// A blob that is open for reading.
struct OpenBlob {
  trust::Sha256Digest digest;
  UniqueFd fd;
  ByteCount size;
};

// The blobs that boards are pulling, the latest first, so that a chunk costs one pread and not an
// open and a close besides. One that was removed (it was damaged) or replaced since is opened anew.
class OpenBlobs {
 public:
  explicit OpenBlobs(BlobStore store, std::size_t most = 16)
      : store_(std::move(store)), most_(most) {}

  // Valid until the next call. Errors: not_found, io.
  [[nodiscard]] Result<const OpenBlob*> open(const trust::Sha256Digest& digest);

 private:
  BlobStore store_;
  std::size_t most_;
  std::list<OpenBlob> blobs_;
};

}  // namespace outcrop::fleet
