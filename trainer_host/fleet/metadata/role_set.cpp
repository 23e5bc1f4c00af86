#include "trainer_host/fleet/metadata/role_set.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace outcrop::fleet {
namespace {

// Whether `next` shall replace `current`: false where it is older or the same document.
template <class Role>
Result<bool> is_newer(const std::string& role, const std::optional<trust::Verified<Role>>& current,
                      const trust::Verified<Role>& next, const trust::VersionFloors& floors,
                      Timestamp now) {
  if (current && (*current)->version == next->version) {
    if (current->envelope() == next.envelope()) return false;
    return fail(ErrorCode::untrusted, role + ": another document of version " +
                                          std::to_string(next->version) + " is here already");
  }
  if (current && next->version < (*current)->version) return false;
  OUTCROP_CHECK(floors.check(role, next->version));
  OUTCROP_CHECK(trust::check_expiry(role, *next, now));
  return true;
}

template <class Role>
void verify_or_drop(const char* role, std::optional<trust::Verified<Role>>& held,
                    const trust::TrustedRoot& root,
                    Result<trust::Verified<Role>> (*verify)(const trust::TrustedRoot&,
                                                            std::string_view)) {
  if (!held) return;
  auto again = verify(root, held->envelope());
  if (again) return;
  spdlog::warn("{} version {} does not hold under root {}: {}", role, (*held)->version,
               root->version, again.error().message());
  held.reset();
}

std::string root_role(std::uint64_t version) {
  return "root/" + std::to_string(version);
}

}  // namespace

RoleSet::RoleSet(trust::TrustedRoot root) : root_(std::move(root)) {
  roots_.emplace(root_->version, root_.envelope());
  look_for_director();
}

bool RoleSet::still_counts(const trust::TrustedRoot& next, std::string_view role) const {
  if (role == "targets") return targets_ && trust::verify_targets(next, targets_->envelope());
  if (role == "revoked") return revoked_ && trust::verify_revoked(next, revoked_->envelope());
  if (role == "snapshot") return snapshot_ && trust::verify_snapshot(next, snapshot_->envelope());
  return role == "timestamp" && timestamp_ &&
         trust::verify_timestamp(next, timestamp_->envelope());
}

void RoleSet::look_for_director() {
  if (!trust::names_director(*root_)) return director_since_.reset();
  if (!director_since_) director_since_ = root_->version;
}

Status RoleSet::follow(const std::string& envelope) {
  OUTCROP_TRY(next, root_.follow(envelope));
  floors_.accept_root(*root_, *next, [&](const std::string& role) {
    return still_counts(next, role);
  });
  root_ = std::move(next);
  roots_.emplace(root_->version, root_.envelope());
  look_for_director();
  verify_again();
  return {};
}

void RoleSet::verify_again() {
  verify_or_drop("targets", targets_, root_, trust::verify_targets);
  verify_or_drop("revoked", revoked_, root_, trust::verify_revoked);
  verify_or_drop("snapshot", snapshot_, root_, trust::verify_snapshot);
  verify_or_drop("timestamp", timestamp_, root_, trust::verify_timestamp);
  std::erase_if(stages_, [&](const auto& stage) {
    const auto& [model, held] = stage;
    if (!targets_ || !revoked_) return true;
    const auto again = trust::verify_stage(*targets_, *revoked_, model, held.envelope());
    if (again) return false;
    spdlog::warn("stage-{} does not hold: {}", model, again.error().message());
    // By another key, if there is to be one, its versions begin anew.
    auto versions = floors_.versions();
    versions.erase(trust::stage_role(model));
    floors_ = trust::VersionFloors(std::move(versions));
    return true;
  });
}

Status RoleSet::take_roots(const std::vector<std::string>& roots, RoleEnvelopes& changed) {
  for (const std::string& envelope : roots) {
    const bool known = std::any_of(roots_.begin(), roots_.end(),
                                   [&](const auto& root) { return root.second == envelope; });
    if (known) continue;
    if (const Status status = follow(envelope); !status) {
      // A root from before the one that was pinned says nothing that counts here.
      const auto older = trust::TrustedRoot::pin(envelope);
      if (older && (*older)->version < roots_.begin()->first) continue;
      return fail(status.error().context("root after version " + std::to_string(root_->version)));
    }
    changed.emplace_back(root_role(root_->version), envelope);
  }
  return {};
}

Result<std::pair<std::string, trust::Verified<trust::StageMetadata>>> RoleSet::verify_stage(
    const std::string& envelope) const {
  if (!targets_ || !revoked_) {
    return fail(ErrorCode::untrusted, "a stage role needs targets and revoked, which are not here");
  }
  std::optional<Error> worst;
  for (const trust::Delegation& delegation : (*targets_)->delegations) {
    auto stage = trust::verify_stage(*targets_, *revoked_, delegation.model, envelope);
    if (stage) return std::pair(delegation.model, std::move(*stage));
    if (!worst || stage.error().code() == ErrorCode::revoked) {
      worst = stage.error().context(trust::stage_role(delegation.model));
    }
  }
  if (worst) return fail(*worst);
  return fail(ErrorCode::untrusted, "targets delegates no model, so no stage role can be good");
}

Status RoleSet::take_stage(const std::string& envelope, Timestamp now, RoleEnvelopes& changed) {
  OUTCROP_TRY(verified, verify_stage(envelope));
  const auto& [model, stage] = verified;
  const std::string role = trust::stage_role(model);
  std::optional<trust::Verified<trust::StageMetadata>> current;
  if (const auto found = stages_.find(model); found != stages_.end()) current = found->second;
  OUTCROP_TRY(newer, is_newer(role, current, stage, floors_, now));
  if (!newer) return {};
  stages_.insert_or_assign(model, stage);
  floors_.raise(role, stage->version);
  changed.emplace_back(role, envelope);
  return {};
}

Result<RoleEnvelopes> RoleSet::take(const MetadataSubmission& submission, Timestamp now) {
  RoleEnvelopes changed;
  OUTCROP_CHECK(take_roots(submission.roots, changed));
  if (submission.targets) {
    OUTCROP_TRY(targets, trust::verify_targets(root_, *submission.targets));
    OUTCROP_TRY(newer, is_newer("targets", targets_, targets, floors_, now));
    if (newer) {
      floors_.raise("targets", targets->version);
      changed.emplace_back("targets", *submission.targets);
      targets_ = std::move(targets);
    }
  }
  if (submission.revoked) {
    OUTCROP_TRY(revoked, trust::verify_revoked(root_, *submission.revoked));
    OUTCROP_TRY(newer, is_newer("revoked", revoked_, revoked, floors_, now));
    if (newer) {
      floors_.raise("revoked", revoked->version);
      changed.emplace_back("revoked", *submission.revoked);
      revoked_ = std::move(revoked);
    }
  }
  verify_again();
  for (const std::string& stage : submission.stages) {
    OUTCROP_CHECK(take_stage(stage, now, changed));
  }
  return changed;
}

std::vector<std::string> RoleSet::left_aside(const MetadataSubmission& submission) const {
  std::vector<std::string> words;
  const auto compare = [&](const std::string& role, std::uint64_t submitted, std::uint64_t here) {
    if (submitted >= here) return;
    words.push_back(role + " version " + std::to_string(submitted) + " is older than version " +
                    std::to_string(here) + ", which outcropd has");
  };
  if (submission.targets && targets_) {
    const auto targets = trust::verify_targets(root_, *submission.targets);
    if (targets) compare("targets", (*targets)->version, (*targets_)->version);
  }
  if (submission.revoked && revoked_) {
    const auto revoked = trust::verify_revoked(root_, *submission.revoked);
    if (revoked) compare("revoked", (*revoked)->version, (*revoked_)->version);
  }
  for (const std::string& envelope : submission.stages) {
    const auto verified = verify_stage(envelope);
    if (!verified) continue;
    const auto& [model, stage] = *verified;
    const auto here = stages_.find(model);
    if (here != stages_.end()) {
      compare(trust::stage_role(model), stage->version, here->second->version);
    }
  }
  return words;
}

void RoleSet::restore(const RoleEnvelopes& stored) {
  const auto find = [&](const std::string& role) -> const std::string* {
    const auto found = std::find_if(stored.begin(), stored.end(),
                                    [&](const auto& entry) { return entry.first == role; });
    return found == stored.end() ? nullptr : &found->second;
  };
  const auto keep = [](auto& held, auto verified, const char* role) {
    if (verified) {
      held = std::move(*verified);
    } else {
      spdlog::warn("stored {} is left out: {}", role, verified.error().message());
    }
  };
  if (const auto* text = find("targets")) {
    keep(targets_, trust::verify_targets(root_, *text), "targets");
  }
  if (const auto* text = find("revoked")) {
    keep(revoked_, trust::verify_revoked(root_, *text), "revoked");
  }
  if (const auto* text = find("snapshot")) {
    keep(snapshot_, trust::verify_snapshot(root_, *text), "snapshot");
  }
  if (const auto* text = find("timestamp")) {
    keep(timestamp_, trust::verify_timestamp(root_, *text), "timestamp");
  }
  for (const auto& [role, envelope] : stored) {
    if (!role.starts_with("stage-") || !targets_ || !revoked_) continue;
    const std::string model = role.substr(std::string_view("stage-").size());
    auto stage = trust::verify_stage(*targets_, *revoked_, model, envelope);
    if (stage) {
      stages_.insert_or_assign(model, std::move(*stage));
    } else {
      spdlog::warn("stored {} is left out: {}", role, stage.error().message());
    }
  }
}

Status RoleSet::put_snapshot(const std::string& envelope) {
  OUTCROP_TRY(snapshot, trust::verify_snapshot(root_, envelope));
  floors_.raise("snapshot", snapshot->version);
  snapshot_ = std::move(snapshot);
  return {};
}

Status RoleSet::put_timestamp(const std::string& envelope) {
  OUTCROP_TRY(timestamp, trust::verify_timestamp(root_, envelope));
  floors_.raise("timestamp", timestamp->version);
  timestamp_ = std::move(timestamp);
  return {};
}

std::map<std::string, std::uint64_t> RoleSet::versions() const {
  std::map<std::string, std::uint64_t> versions;
  if (targets_) versions["targets"] = (*targets_)->version;
  if (revoked_) versions["revoked"] = (*revoked_)->version;
  for (const auto& [model, stage] : stages_) versions[trust::stage_role(model)] = stage->version;
  return versions;
}

RoleEnvelopes RoleSet::envelopes() const {
  RoleEnvelopes all;
  for (const auto& [version, envelope] : roots_) all.emplace_back(root_role(version), envelope);
  if (targets_) all.emplace_back("targets", targets_->envelope());
  if (revoked_) all.emplace_back("revoked", revoked_->envelope());
  for (const auto& [model, stage] : stages_) {
    all.emplace_back(trust::stage_role(model), stage.envelope());
  }
  if (snapshot_) all.emplace_back("snapshot", snapshot_->envelope());
  if (timestamp_) all.emplace_back("timestamp", timestamp_->envelope());
  return all;
}

}  // namespace outcrop::fleet
