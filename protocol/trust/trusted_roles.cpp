#include "protocol/trust/trusted_roles.hpp"

#include <algorithm>

#include "protocol/trust/role_codec.hpp"

namespace outcrop::trust {

// The one place where Verified<> is made.
class RoleVerifier {
 public:
  template <class Role>
  static Result<Verified<Role>> verify(std::string_view envelope, const Signers& signers) {
    OUTCROP_TRY(payload, verify_envelope(envelope, Role::kind, signers));
    OUTCROP_TRY(role, parse_role<Role>(payload.bytes()));
    return Verified<Role>(std::move(role), envelope);
  }
};

Signers signers_of(std::string role, const Keys& keys, const RoleKeys& role_keys) {
  Signers signers{std::move(role), {}, role_keys.threshold};
  for (const KeyId& id : role_keys.keyids) signers.keys.emplace(id, keys.at(id));
  return signers;
}

namespace {

// Whose key signed it, if another model's stage key did: for a message that helps.
std::string other_signer(const TargetsMetadata& targets, std::string_view model,
                         std::string_view envelope) {
  for (const Delegation& delegation : targets.delegations) {
    if (delegation.model == model) continue;
    const Signers signers =
        signers_of(stage_role(delegation.model), targets.keys, delegation.keys);
    if (verify_envelope(envelope, StageMetadata::kind, signers)) return delegation.model;
  }
  return {};
}

// Takes revoked keys away from `signers` and returns the reason of the first that signed.
std::string remove_revoked(const RevokedMetadata& revoked, Signers& signers) {
  std::string reason;
  for (const Revocation& entry : revoked.keys) {
    if (signers.keys.erase(entry.what) > 0 && reason.empty()) {
      reason = "its key " + entry.what.short_hex() + " was revoked on " + to_rfc3339(entry.time) +
               ": " + entry.reason;
    }
  }
  return reason;
}

}  // namespace

Result<TrustedRoot> TrustedRoot::pin(std::string_view envelope) {
  OUTCROP_TRY(payload, unverified_payload(envelope, RootMetadata::kind));
  OUTCROP_TRY(claimed, parse_role<RootMetadata>(payload));
  const Signers own = signers_of("root", claimed.keys, claimed.roles.at("root"));
  OUTCROP_TRY(root, RoleVerifier::verify<RootMetadata>(envelope, own));
  return TrustedRoot(std::move(root));
}

Result<TrustedRoot> TrustedRoot::follow(std::string_view envelope) const {
  const auto with_context = [&](Error error) {
    return fail(error.context("the root after version " + std::to_string(root_->version)));
  };
  auto by_this = RoleVerifier::verify<RootMetadata>(envelope, signers("root"));
  if (!by_this) return with_context(by_this.error());
  if ((*by_this)->version != root_->version + 1) {
    return with_context(Error(ErrorCode::untrusted, "has version " +
                                                        std::to_string((*by_this)->version) +
                                                        "; roots follow each other without gaps"));
  }
  auto by_itself = pin(envelope);
  if (!by_itself) return with_context(by_itself.error());
  return by_itself;
}

Signers TrustedRoot::signers(std::string_view role) const {
  const auto found = root_->roles.find(role);
  if (found == root_->roles.end()) return {std::string(role), {}, 1};  // nobody
  return signers_of(std::string(role), root_->keys, found->second);
}

Result<Verified<TargetsMetadata>> verify_targets(const TrustedRoot& root,
                                                 std::string_view envelope) {
  return RoleVerifier::verify<TargetsMetadata>(envelope, root.signers("targets"));
}

Result<Verified<RevokedMetadata>> verify_revoked(const TrustedRoot& root,
                                                 std::string_view envelope) {
  return RoleVerifier::verify<RevokedMetadata>(envelope, root.signers("revoked"));
}

Result<Verified<SnapshotMetadata>> verify_snapshot(const TrustedRoot& root,
                                                   std::string_view envelope) {
  return RoleVerifier::verify<SnapshotMetadata>(envelope, root.signers("snapshot"));
}

Result<Verified<TimestampMetadata>> verify_timestamp(const TrustedRoot& root,
                                                     std::string_view envelope) {
  return RoleVerifier::verify<TimestampMetadata>(envelope, root.signers("timestamp"));
}

Result<Verified<StageMetadata>> verify_stage(const Verified<TargetsMetadata>& targets,
                                             const Verified<RevokedMetadata>& revoked,
                                             std::string_view model, std::string_view envelope) {
  const std::string role = stage_role(model);
  const Delegation* delegation = targets->delegation(model);
  if (delegation == nullptr) {
    return fail(ErrorCode::untrusted,
                role + ": targets delegates no key for the model '" + std::string(model) + "'");
  }
  const Signers all = signers_of(role, targets->keys, delegation->keys);
  Signers unrevoked = all;
  const std::string revocation = remove_revoked(*revoked, unrevoked);
  auto stage = RoleVerifier::verify<StageMetadata>(envelope, unrevoked);
  if (!stage) {
    if (stage.error().code() != ErrorCode::untrusted) return stage;
    if (!revocation.empty() && verify_envelope(envelope, StageMetadata::kind, all)) {
      return fail(ErrorCode::revoked, role + ": " + revocation);
    }
    if (const std::string other = other_signer(*targets, model, envelope); !other.empty()) {
      return fail(ErrorCode::untrusted, role + ": signed by the stage key of the model '" + other +
                                            "', which may not sign releases of '" +
                                            std::string(model) + "'");
    }
    return fail(stage.error().context(role));
  }
  if ((*stage)->model != model) {
    return fail(ErrorCode::untrusted, role + ": lists releases of the model '" + (*stage)->model +
                                          "' instead of '" + std::string(model) + "'");
  }
  return stage;
}

Status check_snapshot(const Verified<TimestampMetadata>& timestamp,
                      const Verified<SnapshotMetadata>& snapshot) {
  if (snapshot->version != timestamp->snapshot_version ||
      ByteCount(snapshot.envelope().size()) != timestamp->snapshot_size ||
      sha256(snapshot.envelope()) != timestamp->snapshot) {
    return fail(ErrorCode::untrusted, "snapshot: version " + std::to_string(snapshot->version) +
                                          " is not the one that timestamp names (version " +
                                          std::to_string(timestamp->snapshot_version) + ")");
  }
  return {};
}

Status check_not_revoked(const Verified<RevokedMetadata>& revoked, const Sha256Digest& manifest) {
  const auto& list = revoked->manifests;
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Revocation& entry) { return entry.what == manifest; });
  if (found == list.end()) return {};
  return fail(ErrorCode::revoked, "manifest " + manifest.short_hex() + " was revoked on " +
                                      to_rfc3339(found->time) + ": " + found->reason);
}

}  // namespace outcrop::trust
