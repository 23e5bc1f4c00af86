#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/freshness.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::fleet {

using RoleEnvelopes = std::vector<std::pair<std::string, std::string>>;  // role -> envelope

// Signed documents that came together, as envelopes: from a release or from who keeps the keys.
struct MetadataSubmission {
  std::vector<std::string> roots;
  std::optional<std::string> targets;
  std::optional<std::string> revoked;
  std::vector<std::string> stages;
};

// The newest verified document of each role, by one chain of roots. A plain value: who wants to
// try documents out copies it.
class RoleSet {
 public:
  explicit RoleSet(trust::TrustedRoot root);

  // Takes what is new, in the order of SCHEMA.md. What is older than what is here is left aside;
  // so is what is here already. Errors: untrusted (a signature, or another document of a version
  // that is here already), expired, revoked, invalid_data; then this value is half-changed and to
  // be thrown away. Returns the roles that changed.
  [[nodiscard]] Result<RoleEnvelopes> take(const MetadataSubmission& submission, Timestamp now);

  // What of the submission counts for nothing after take(), since a newer one is here: a sentence
  // each. The same document as the one here is not among them, nor are roots.
  [[nodiscard]] std::vector<std::string> left_aside(const MetadataSubmission& submission) const;

  // The newest root's successor; what no longer verifies is dropped.
  [[nodiscard]] Status follow(const std::string& envelope);

  // As stored by this host before: no expiry, and what does not verify is left out.
  void restore(const RoleEnvelopes& stored);

  // Puts what this host signed. untrusted where the root does not name that key.
  [[nodiscard]] Status put_snapshot(const std::string& envelope);
  [[nodiscard]] Status put_timestamp(const std::string& envelope);

  [[nodiscard]] const trust::TrustedRoot& root() const { return root_; }
  [[nodiscard]] const auto& targets() const { return targets_; }
  [[nodiscard]] const auto& revoked() const { return revoked_; }
  [[nodiscard]] const auto& stages() const { return stages_; }
  [[nodiscard]] const auto& snapshot() const { return snapshot_; }
  [[nodiscard]] const auto& timestamp() const { return timestamp_; }
  [[nodiscard]] trust::VersionFloors& floors() { return floors_; }
  [[nodiscard]] const trust::VersionFloors& floors() const { return floors_; }

  // The first root of those since which each names a director; none where the newest names none.
  [[nodiscard]] std::optional<std::uint64_t> director_since() const { return director_since_; }

  // Versions that belong together: what a snapshot lists.
  [[nodiscard]] std::map<std::string, std::uint64_t> versions() const;
  // Everything, in the order in which it is to be published.
  [[nodiscard]] RoleEnvelopes envelopes() const;

 private:
  Status take_roots(const std::vector<std::string>& roots, RoleEnvelopes& changed);
  Status take_stage(const std::string& envelope, Timestamp now, RoleEnvelopes& changed);
  [[nodiscard]] Result<std::pair<std::string, trust::Verified<trust::StageMetadata>>> verify_stage(
      const std::string& envelope) const;
  void verify_again();
  void look_for_director();
  [[nodiscard]] bool still_counts(const trust::TrustedRoot& next, std::string_view role) const;

  trust::TrustedRoot root_;
  std::optional<std::uint64_t> director_since_;
  std::map<std::uint64_t, std::string> roots_;  // by version
  std::optional<trust::Verified<trust::TargetsMetadata>> targets_;
  std::optional<trust::Verified<trust::RevokedMetadata>> revoked_;
  std::map<std::string, trust::Verified<trust::StageMetadata>> stages_;  // by model
  std::optional<trust::Verified<trust::SnapshotMetadata>> snapshot_;
  std::optional<trust::Verified<trust::TimestampMetadata>> timestamp_;
  trust::VersionFloors floors_;
};

}  // namespace outcrop::fleet
