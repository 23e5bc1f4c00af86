#pragma once

#include <map>
#include <utility>

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::fleet {

// Manifests of releases whose blobs are here, each verified and read once. For one thread.
class Manifests {
 public:
  explicit Manifests(BlobStore blobs) : blobs_(std::move(blobs)) {}

  // What is returned lives as long as this. not_found, and the errors of reading it.
  [[nodiscard]] Result<const messages::Manifest*> of(const trust::Sha256Digest& digest);

 private:
  BlobStore blobs_;
  std::map<trust::Sha256Digest, messages::Manifest> read_;
};

}  // namespace outcrop::fleet
