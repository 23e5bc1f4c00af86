#include "agent/verify/set_builder.hpp"

#include <algorithm>
#include <vector>

namespace outcrop::agent {
namespace {

using trust::RevokedMetadata;
using trust::SnapshotMetadata;
using trust::StageMetadata;
using trust::TargetsMetadata;
using trust::TimestampMetadata;
using trust::Verified;

const std::string timestamp_role(TimestampMetadata::kind);
const std::string snapshot_role(SnapshotMetadata::kind);
const std::string targets_role(TargetsMetadata::kind);
const std::string revoked_role(RevokedMetadata::kind);

// The version that the snapshot names; nothing where it does not name the role.
std::optional<std::uint64_t> named(const Verified<SnapshotMetadata>& snapshot,
                                   const std::string& role) {
  const auto found = snapshot->versions.find(role);
  if (found == snapshot->versions.end()) return std::nullopt;
  return found->second;
}

template <class Role>
Status as_status(const Result<Verified<Role>>& verified) {
  if (!verified) return fail(verified.error());
  return {};
}

}  // namespace

template <class Role>
Result<Verified<Role>> SetBuilder::accepted(Result<Verified<Role>> verified,
                                            const std::string& role) const {
  if (!verified) return verified;
  OUTCROP_CHECK(state_.floors.check(role, (*verified)->version));
  if constexpr (std::is_same_v<Role, TimestampMetadata>) {
    if (latest_issue_ && (*verified)->issued > *latest_issue_) {
      return fail(ErrorCode::untrusted, "timestamp: says that it was signed on " +
                                            to_rfc3339((*verified)->issued) +
                                            ", which is in the future");
    }
  }
  return verified;
}

bool SetBuilder::knows(const std::string& role) const {
  return role == timestamp_role || role == snapshot_role || role == targets_role ||
         role == revoked_role || role == trust::stage_role(state_.model);
}

std::string SetBuilder::present(const std::string& role) const {
  if (role == revoked_role) return state_.revoked ? state_.revoked->list.envelope() : "";
  if (!state_.set) return "";
  if (role == timestamp_role) return state_.set->timestamp.envelope();
  if (role == snapshot_role) return state_.set->snapshot.envelope();
  if (role == targets_role) return state_.set->targets.envelope();
  return state_.set->stage_envelope;
}

std::vector<std::string> SetBuilder::envelopes(const std::string& role) const {
  std::vector<std::string> all = candidates_.of(role);
  if (std::string one = present(role); !one.empty()) all.push_back(std::move(one));
  return all;
}

bool SetBuilder::counts(const std::string& role, std::string_view envelope) const {
  return present(role) == envelope;
}

Status SetBuilder::judge(const std::string& role, const std::string& envelope) const {
  const trust::TrustedRoot& root = state_.root;
  if (role == timestamp_role) {
    return as_status(accepted(trust::verify_timestamp(root, envelope), role));
  }
  if (role == snapshot_role) {
    return as_status(accepted(trust::verify_snapshot(root, envelope), role));
  }
  if (role == targets_role) {
    return as_status(accepted(trust::verify_targets(root, envelope), role));
  }
  if (role == revoked_role) {
    return as_status(accepted(trust::verify_revoked(root, envelope), role));
  }
  if (!state_.revoked) return {};
  Status judged;
  for (const std::string& text : envelopes(targets_role)) {
    const auto targets = trust::verify_targets(root, text);
    if (!targets) continue;
    judged = as_status(accepted(
        trust::verify_stage(*targets, state_.revoked->list, state_.model, envelope), role));
    if (judged) return judged;
  }
  return judged;
}

std::optional<Verified<RevokedMetadata>> SetBuilder::newer_revoked() const {
  std::optional<Verified<RevokedMetadata>> best;
  // Where the role has new keys, the list by the old ones counts until there is one by the new.
  if (state_.revoked && state_.floors.versions().contains(revoked_role)) {
    best = state_.revoked->list;
  }
  bool newer = false;
  for (const std::string& text : candidates_.of(revoked_role)) {
    auto revoked = accepted(trust::verify_revoked(state_.root, text), revoked_role);
    if (!revoked || (best && (*revoked)->version <= (*best)->version)) continue;
    best = std::move(*revoked);
    newer = true;
  }
  return newer ? best : std::nullopt;
}

std::optional<SetBuilder::Built> SetBuilder::newer_set() const {
  // Only with a revoked list by the present keys.
  if (!state_.revoked || !state_.floors.versions().contains(revoked_role)) return std::nullopt;
  std::vector<Verified<TimestampMetadata>> timestamps;
  for (const std::string& text : candidates_.of(timestamp_role)) {
    auto timestamp = accepted(trust::verify_timestamp(state_.root, text), timestamp_role);
    if (!timestamp) continue;
    if (state_.set && (*timestamp)->version <= state_.set->timestamp->version) continue;
    timestamps.push_back(std::move(*timestamp));
  }
  std::sort(timestamps.begin(), timestamps.end(),
            [](const auto& a, const auto& b) { return a->version > b->version; });
  for (const auto& timestamp : timestamps) {
    if (auto built = build(timestamp)) return built;
  }
  return std::nullopt;
}

std::optional<SetBuilder::Built> SetBuilder::build(
    const Verified<TimestampMetadata>& timestamp) const {
  for (const std::string& snapshot_text : envelopes(snapshot_role)) {
    auto snapshot = accepted(trust::verify_snapshot(state_.root, snapshot_text), snapshot_role);
    if (!snapshot || !trust::check_snapshot(timestamp, *snapshot)) continue;
    // A later list than the one named counts as well: it counts at once.
    const auto revoked = named(*snapshot, revoked_role);
    if (!revoked || state_.revoked->list->version < *revoked) continue;
    for (const std::string& targets_text : envelopes(targets_role)) {
      auto targets = accepted(trust::verify_targets(state_.root, targets_text), targets_role);
      if (!targets || named(*snapshot, targets_role) != (*targets)->version) continue;
      Built built{{timestamp, *snapshot, std::move(*targets), ""}, {}};
      built.versions = {{timestamp_role, timestamp->version},
                        {snapshot_role, (*snapshot)->version},
                        {targets_role, built.set.targets->version}};
      if (add_stage(built)) return built;
    }
  }
  return std::nullopt;
}

// As for the roles that root names: where targets gives our model another key, which does not vouch for
// the list that is known, a thief's highest version does not outlive the key that signed it.
bool SetBuilder::stage_begins_anew(const Verified<TargetsMetadata>& targets) const {
  if (!state_.set || state_.set->stage_envelope.empty()) return false;
  const trust::Delegation* before = state_.set->targets->delegation(state_.model);
  const trust::Delegation* now = targets->delegation(state_.model);
  if (before == nullptr || now == nullptr || before->keys == now->keys) return false;
  return !trust::verify_stage(targets, state_.revoked->list, state_.model,
                              state_.set->stage_envelope);
}

bool SetBuilder::add_stage(Built& built) const {
  const std::string role = trust::stage_role(state_.model);
  const auto version = named(built.set.snapshot, role);
  built.stage_anew = stage_begins_anew(built.set.targets);
  // No release of our model yet; but a role that was there does not vanish.
  if (!version) return !state_.floors.versions().contains(role);
  for (const std::string& text : envelopes(role)) {
    auto verified =
        trust::verify_stage(built.set.targets, state_.revoked->list, state_.model, text);
    const auto stage = built.stage_anew ? verified : accepted(std::move(verified), role);
    if (!stage || (*stage)->version != *version) continue;
    built.set.stage_envelope = text;
    built.versions[role] = *version;
    return true;
  }
  return false;
}

}  // namespace outcrop::agent
