#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/state/kept_twice.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/freshness.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::agent {

// Roles that belong together: timestamp names snapshot, snapshot names the versions of the others.
struct TrustedSet {
  trust::Verified<trust::TimestampMetadata> timestamp;
  trust::Verified<trust::SnapshotMetadata> snapshot;
  trust::Verified<trust::TargetsMetadata> targets;
  // "" where the snapshot has no release of our model yet. Verified anew whenever it is asked: a
  // key may have been revoked since.
  std::string stage_envelope;
};

// The revoked list that counts. A root that gives this role new keys does not make it void: it
// counts until the new keys have signed one, so the root that vouched for it is kept with it.
struct TrustedRevoked {
  trust::Verified<trust::RevokedMetadata> list;
  trust::TrustedRoot root;
};

// All that a board believes (<state>/metadata/trusted.json: one file, so that it changes as a
// whole).
struct TrustedState {
  trust::Sha256Digest pinned;  // the root of the enrolment that this began with
  std::string model;
  trust::TrustedRoot root;
  std::optional<TrustedRevoked> revoked;
  std::optional<TrustedSet> set;
  trust::VersionFloors floors;
  std::optional<Timestamp> time_floor;  // newest `issued` that counted
  Timestamp received;                   // of the set, by the machine's clock, right or not
};

// The file is kept twice.
[[nodiscard]] Status write_trusted_state(const std::filesystem::path& file,
                                         const TrustedState& state);
// Verifies everything again. Nothing where there is no file; unsupported where it is of a newer
// agent.
struct ReadTrustedState {
  std::optional<TrustedState> state;
  KeptTwice::Reading reading;  // none was good where it has a trouble and no copy
};
[[nodiscard]] Result<ReadTrustedState> read_trusted_state(const std::filesystem::path& file);

}  // namespace outcrop::agent
