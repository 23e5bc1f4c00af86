#include "trainer_host/fleet/rollout/manifests.hpp"

#include "protocol/trust/verified_blob.hpp"

namespace outcrop::fleet {

Result<const messages::Manifest*> Manifests::of(const trust::Sha256Digest& digest) {
  if (const auto found = read_.find(digest); found != read_.end()) return &found->second;
  OUTCROP_TRY(bytes, blobs_.read(digest, messages::manifest_limit));
  OUTCROP_TRY(blob, trust::verify_bytes(bytes, digest));
  OUTCROP_TRY(parsed, messages::parse_manifest(blob));
  return &read_.emplace(digest, std::move(parsed)).first->second;
}

}  // namespace outcrop::fleet
