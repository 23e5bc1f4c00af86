#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/base/error.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::trust {

// A role's document that enough of its keys have signed, with the envelope it came in (to be
// stored or passed on as it is). Only the functions below make one.
template <class Role>
class Verified {
 public:
  const Role& operator*() const { return role_; }
  const Role* operator->() const { return &role_; }
  [[nodiscard]] const std::string& envelope() const { return envelope_; }

 private:
  friend class RoleVerifier;
  Verified(Role role, std::string_view envelope) : role_(std::move(role)), envelope_(envelope) {}

  Role role_;
  std::string envelope_;
};

// The keys of `role_keys`, of which `keys` holds every one.
[[nodiscard]] Signers signers_of(std::string role, const Keys& keys, const RoleKeys& role_keys);

// The root that a board or a user trusts. All verification starts here. Pure functions of their
// arguments: neither clock nor files; expiry and version floors are in freshness.hpp.
class TrustedRoot {
 public:
  // Trusts this root because the caller says so: it was pinned at enrolment, or the user named
  // the file. It must still be signed by the threshold of its own keys.
  [[nodiscard]] static Result<TrustedRoot> pin(std::string_view envelope);

  // The root after this one: version + 1, signed by the threshold of this root and of its own.
  [[nodiscard]] Result<TrustedRoot> follow(std::string_view envelope) const;

  const RootMetadata& operator*() const { return *root_; }
  const RootMetadata* operator->() const { return &*root_; }
  [[nodiscard]] const std::string& envelope() const { return root_.envelope(); }
  [[nodiscard]] Sha256Digest digest() const { return sha256(envelope()); }

  // The keys of one of top_level_roles().
  [[nodiscard]] Signers signers(std::string_view role) const;

 private:
  explicit TrustedRoot(Verified<RootMetadata> root) : root_(std::move(root)) {}
  Verified<RootMetadata> root_;
};

// Errors of all: those of verify_envelope, unsupported for documents of a newer protocol,
// invalid_data where the verified bytes are not such a document.
[[nodiscard]] Result<Verified<TargetsMetadata>> verify_targets(const TrustedRoot& root,
                                                               std::string_view envelope);
[[nodiscard]] Result<Verified<RevokedMetadata>> verify_revoked(const TrustedRoot& root,
                                                               std::string_view envelope);
[[nodiscard]] Result<Verified<SnapshotMetadata>> verify_snapshot(const TrustedRoot& root,
                                                                 std::string_view envelope);
[[nodiscard]] Result<Verified<TimestampMetadata>> verify_timestamp(const TrustedRoot& root,
                                                                   std::string_view envelope);

// The stage role of one model, by the keys that targets delegates that model to and that are not
// revoked. untrusted names the other model where a stage key signed beyond its own; revoked
// where the only signatures are those of revoked keys.
[[nodiscard]] Result<Verified<StageMetadata>> verify_stage(const Verified<TargetsMetadata>& targets,
                                                           const Verified<RevokedMetadata>& revoked,
                                                           std::string_view model,
                                                           std::string_view envelope);

// The snapshot must be the one that timestamp names, by digest, size and version.
[[nodiscard]] Status check_snapshot(const Verified<TimestampMetadata>& timestamp,
                                    const Verified<SnapshotMetadata>& snapshot);

// revoked, with the reason, where the list holds the manifest.
[[nodiscard]] Status check_not_revoked(const Verified<RevokedMetadata>& revoked,
                                       const Sha256Digest& manifest);

}  // namespace outcrop::trust
