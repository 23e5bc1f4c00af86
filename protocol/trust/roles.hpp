#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::trust {

// What each role's document says (SCHEMA.md, "Roles"). These are plain values, trusted only
// inside Verified<> (trusted_roles.hpp), whose functions are the only ones that parse them.

struct RoleHeader {
  std::uint64_t version = 1;
  Timestamp expires;
  bool operator==(const RoleHeader&) const = default;
};

using Keys = std::map<KeyId, PublicKey>;

struct RoleKeys {
  std::vector<KeyId> keyids;
  std::uint64_t threshold = 1;
  bool operator==(const RoleKeys&) const = default;
};

struct RootMetadata : RoleHeader {
  static constexpr std::string_view kind = "root";
  Keys keys;
  // Exactly those of top_level_roles, and from protocol 5 on the director.
  std::map<std::string, RoleKeys, std::less<>> roles;
  bool operator==(const RootMetadata&) const = default;
};

// The role `stage-<model>`.
struct Delegation {
  std::string model;
  RoleKeys keys;
  bool operator==(const Delegation&) const = default;
};

struct TargetsMetadata : RoleHeader {
  static constexpr std::string_view kind = "targets";
  Keys keys;
  std::vector<Delegation> delegations;
  bool operator==(const TargetsMetadata&) const = default;
  [[nodiscard]] const Delegation* delegation(std::string_view model) const;
};

struct Revocation {
  Sha256Digest what;  // a manifest or a key id
  std::string reason;
  Timestamp time;
  bool operator==(const Revocation&) const = default;
};

struct RevokedMetadata : RoleHeader {
  static constexpr std::string_view kind = "revoked";
  std::vector<Revocation> manifests;
  std::vector<Revocation> keys;
  bool operator==(const RevokedMetadata&) const = default;
};

// A release that may be installed.
struct PermittedRelease {
  Sha256Digest manifest;
  ByteCount size;  // of the manifest
  std::uint64_t stage = 1;
  std::uint64_t epoch = 1;
  bool operator==(const PermittedRelease&) const = default;
};

struct StageMetadata : RoleHeader {
  static constexpr std::string_view kind = "stage";
  std::string model;
  std::vector<PermittedRelease> releases;  // newest last
  bool operator==(const StageMetadata&) const = default;
  [[nodiscard]] const PermittedRelease* release(const Sha256Digest& manifest) const;
};

struct SnapshotMetadata : RoleHeader {
  static constexpr std::string_view kind = "snapshot";
  std::map<std::string, std::uint64_t> versions;  // role -> version
  bool operator==(const SnapshotMetadata&) const = default;
};

struct TimestampMetadata : RoleHeader {
  static constexpr std::string_view kind = "timestamp";
  Timestamp issued;  // when it was signed, before `expires`
  std::uint64_t snapshot_version = 1;
  Sha256Digest snapshot;  // of the envelope
  ByteCount snapshot_size;
  bool operator==(const TimestampMetadata&) const = default;
};

// The roles that every root names.
[[nodiscard]] const std::vector<std::string>& top_level_roles();
// Who signs commands: a role without a document of its own. A root that names it is one of
// protocol 5, which earlier readers refuse as too new and do not follow.
inline constexpr std::string_view director_role = "director";
[[nodiscard]] bool names_director(const RootMetadata& root);
[[nodiscard]] std::string stage_role(std::string_view model);  // "stage-<model>"

// The bytes to sign.
[[nodiscard]] std::string to_json(const RootMetadata& root);
[[nodiscard]] std::string to_json(const TargetsMetadata& targets);
[[nodiscard]] std::string to_json(const RevokedMetadata& revoked);
[[nodiscard]] std::string to_json(const StageMetadata& stage);
[[nodiscard]] std::string to_json(const SnapshotMetadata& snapshot);
[[nodiscard]] std::string to_json(const TimestampMetadata& timestamp);

}  // namespace outcrop::trust
