#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/quality.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::release {

// A release folder (SCHEMA.md, "Release folder") whose metadata and manifest were verified down
// from a trusted root. Blobs are verified when they are asked for, and come as sealed memory:
// what happens to the folder afterwards does not matter.
class VerifiedRelease {
 public:
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const messages::Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const trust::Sha256Digest& manifest_digest() const { return manifest_digest_; }
  [[nodiscard]] const trust::TrustedRoot& root() const { return root_; }
  [[nodiscard]] const trust::Verified<trust::TargetsMetadata>& targets() const { return targets_; }
  [[nodiscard]] const trust::Verified<trust::RevokedMetadata>& revoked() const { return revoked_; }
  [[nodiscard]] const trust::Verified<trust::StageMetadata>& stage() const { return stage_; }

  // not_found, or untrusted where length or digest differ, or the chunk table is another blob's.
  [[nodiscard]] Result<trust::VerifiedBlob> blob(const messages::BlobReference& reference) const;
  [[nodiscard]] Status check_chunk_table(const messages::BlobReference& reference) const;
  // How good the model is: from the manifest, or, before protocol 4, from the golden output that it
  // names. Nothing in releases of versions before protocol 3. Errors as of blob(); invalid_data.
  [[nodiscard]] Result<std::optional<messages::Quality>> quality() const;

 private:
  friend class ReleaseOpener;
  VerifiedRelease(std::filesystem::path folder, trust::TrustedRoot root,
                  trust::Verified<trust::TargetsMetadata> targets,
                  trust::Verified<trust::RevokedMetadata> revoked,
                  trust::Verified<trust::StageMetadata> stage, trust::Sha256Digest manifest_digest,
                  messages::Manifest manifest);

  std::filesystem::path folder_;
  trust::TrustedRoot root_;
  trust::Verified<trust::TargetsMetadata> targets_;
  trust::Verified<trust::RevokedMetadata> revoked_;
  trust::Verified<trust::StageMetadata> stage_;
  trust::Sha256Digest manifest_digest_;
  messages::Manifest manifest_;
};

// A blob that a manifest names, in the words that a person knows it by: "variant int8-qint8".
struct NamedBlob {
  std::string what;
  messages::BlobReference blob;
};
[[nodiscard]] std::vector<NamedBlob> blobs_of(const messages::Manifest& manifest);

// One thing that was looked at, in the order of SCHEMA.md.
struct Check {
  std::string what;  // "root", "stage-curvefault", "blob int8-qint8"
  Status status;
};
using Checks = std::vector<Check>;

struct OpenOptions {
  // A revoked list that the caller has, e.g. that of its key store: the newer one of this and the
  // folder's counts, since a folder cannot know what was revoked after it was made.
  std::optional<trust::Verified<trust::RevokedMetadata>> revoked;
};

// Opens for installing: signatures, expiry and revocation must all hold. `checks`, where given,
// receives every step up to the first that failed. Errors: untrusted, expired, revoked,
// unsupported (too new), invalid_data, not_found; the message says which document and why.
[[nodiscard]] Result<VerifiedRelease> open_release(const std::filesystem::path& folder,
                                                   const trust::TrustedRoot& root,
                                                   const Clock& clock,
                                                   const OpenOptions& options = {},
                                                   Checks* checks = nullptr);

// Every blob that the manifest names, with its chunk table, and that nothing else is there. Goes
// on after a failure, so that the caller sees all of them.
[[nodiscard]] Checks check_blobs(const VerifiedRelease& release);

}  // namespace outcrop::release
