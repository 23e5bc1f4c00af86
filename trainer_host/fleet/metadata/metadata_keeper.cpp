#include "trainer_host/fleet/metadata/metadata_keeper.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::fleet {
namespace {

// Beside the signed documents in the registry: the lowest version of each role that still counts.
constexpr const char* floors_role = "floors";
constexpr std::string_view root_prefix = "root/";
// Of a snapshot. Signed anew when half of it is over; the timestamp is what says how old all is.
constexpr std::chrono::days snapshot_validity{30};

template <class Role>
Result<std::string> sign_role(const Role& role, const std::filesystem::path& key_file) {
  auto key = trust::PrivateKey::read_pem(key_file);
  if (!key) return fail(key.error().context("the key of " + std::string(Role::kind)));
  return trust::sign_envelope(Role::kind, as_bytes(trust::to_json(role)), std::span(&*key, 1));
}

std::uint64_t floor_of(const RoleSet& roles, const std::string& role) {
  const auto& floors = roles.floors().versions();
  const auto floor = floors.find(role);
  return floor == floors.end() ? 0 : floor->second;
}

trust::VersionFloors read_floors(const RoleEnvelopes& stored) {
  std::map<std::string, std::uint64_t> versions;
  for (const auto& [role, text] : stored) {
    if (role != floors_role) continue;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) continue;
    for (const auto& [name, version] : json.items()) {
      if (version.is_number_unsigned()) versions[name] = version.get<std::uint64_t>();
    }
  }
  return trust::VersionFloors(std::move(versions));
}

std::map<std::uint64_t, std::string> stored_roots(const RoleEnvelopes& stored) {
  std::map<std::uint64_t, std::string> roots;
  for (const auto& [role, envelope] : stored) {
    if (!role.starts_with(root_prefix)) continue;
    // A name that no version of ours wrote is no root.
    const auto version = read_number<std::uint64_t>(role.substr(root_prefix.size()));
    if (version) roots.emplace(*version, envelope);
  }
  return roots;
}

// The chain of roots that the registry has, which must hold the root that the owner named.
Result<RoleSet> open_roots(const std::filesystem::path& file, const RoleEnvelopes& envelopes_here) {
  auto envelope = read_text_file(file, trust::envelope_limit);
  if (!envelope) return fail(envelope.error().context("[trust] root"));
  auto pinned = trust::TrustedRoot::pin(*envelope);
  if (!pinned) return fail(pinned.error().context("[trust] root " + file.string()));
  const trust::TrustedRoot& named = *pinned;
  const auto stored = stored_roots(envelopes_here);
  if (stored.empty()) return RoleSet(named);
  OUTCROP_TRY(first, trust::TrustedRoot::pin(stored.begin()->second));
  RoleSet roles(std::move(first));
  for (const auto& [version, root] : stored) {
    if (version != stored.begin()->first) OUTCROP_CHECK(roles.follow(root));
  }
  if (roles.root()->version + 1 == named->version) OUTCROP_CHECK(roles.follow(named.envelope()));
  const auto envelopes = roles.envelopes();
  const bool agrees = std::any_of(envelopes.begin(), envelopes.end(), [&](const auto& role) {
    return role.second == named.envelope();
  });
  if (!agrees) {
    return fail(ErrorCode::untrusted,
                "[trust] root is root " + std::to_string(named->version) +
                    ", which is not in the chain of this state folder (roots " +
                    std::to_string(stored.begin()->first) + " to " +
                    std::to_string(roles.root()->version) +
                    "): name a root of this fleet, or submit the roots between first");
  }
  return roles;
}

// "it is that of snapshot", where the root names the key for something else.
std::string use_of_key(const trust::TrustedRoot& root, const trust::KeyId& key) {
  for (const auto& [role, keys] : root->roles) {
    const auto& ids = keys.keyids;
    if (std::find(ids.begin(), ids.end(), key) != ids.end()) return "is that of " + role;
  }
  return "is not named by it at all";
}

Status check_key(const trust::TrustedRoot& root, const std::string& role,
                 const std::filesystem::path& file) {
  const std::string name = "[trust] " + role + "_key";
  const auto key = trust::PrivateKey::read_pem(file);
  if (!key) return fail(key.error().context(name));
  const trust::KeyId id = key->public_key().id();
  if (root.signers(role).keys.contains(id)) return {};
  return fail(ErrorCode::untrusted,
              name + " " + file.string() + ": root " + std::to_string(root->version) +
                  " names another key for the role " + role + ", and this one " +
                  use_of_key(root, id) + ". Put online/" + role +
                  ".key of the key folder there; where that one is newer than the root, name the "
                  "newest root in [trust] root");
}

Status check_keys(const trust::TrustedRoot& root, const MetadataOptions& options) {
  OUTCROP_CHECK(check_key(root, "timestamp", options.timestamp_key));
  OUTCROP_CHECK(check_key(root, "snapshot", options.snapshot_key));
  if (!trust::names_director(*root)) return {};
  return check_key(root, std::string(trust::director_role), options.director_key);
}

std::optional<Timestamp> issued_of(const RoleSet& roles) {
  if (!roles.timestamp()) return std::nullopt;
  return (*roles.timestamp())->issued;
}

}  // namespace

Result<RoleSet> MetadataKeeper::check(const MetadataOptions& options,
                                      const RoleEnvelopes& stored) {
  OUTCROP_TRY(roles, open_roots(options.root, stored));
  OUTCROP_CHECK(check_keys(roles.root(), options));
  // After the chain: what an earlier root signed must hold under the newest one.
  roles.floors() = read_floors(stored);
  roles.restore(stored);
  return roles;
}

Result<MetadataKeeper> MetadataKeeper::open(Registry& registry, const Clock& clock,
                                            MetadataOptions options) {
  OUTCROP_TRY(stored, registry.metadata());
  OUTCROP_TRY(roles, check(options, stored));
  MetadataKeeper keeper(registry, clock, std::move(options), std::move(roles));
  OUTCROP_CHECK(keeper.store(keeper.roles_, keeper.roles_.envelopes()));
  OUTCROP_TRY(signed_now, keeper.refresh());
  return keeper;
}

Result<RoleSet> MetadataKeeper::preview(const MetadataSubmission& submission) const {
  RoleSet next = roles_;
  OUTCROP_TRY(changed, next.take(submission, clock_->now()));
  return next;
}

Result<RoleEnvelopes> MetadataKeeper::accept(const MetadataSubmission& submission) {
  RoleSet next = roles_;
  OUTCROP_TRY(changed, next.take(submission, clock_->now()));
  // A root that takes the online keys away must get out even though nothing can be signed now.
  const Status signing = sign(next, changed);
  OUTCROP_CHECK(store(next, changed));
  roles_ = std::move(next);
  problem_ = signing ? "" : signing.error().message();
  if (!signing) spdlog::error("cannot sign metadata: {}", problem_);
  return changed;
}

Status MetadataKeeper::read_again() {
  OUTCROP_TRY(stored, registry_->metadata());
  OUTCROP_TRY(roles, check(options_, stored));
  roles_ = std::move(roles);
  return {};
}

Result<RoleEnvelopes> MetadataKeeper::refresh() {
  RoleSet next = roles_;
  RoleEnvelopes changed;
  const Status signing = sign(next, changed);
  if (!changed.empty()) {
    OUTCROP_CHECK(store(next, changed));
    roles_ = std::move(next);
  }
  const std::string problem = signing ? "" : signing.error().message();
  if (!signing && problem != problem_) spdlog::error("cannot sign metadata: {}", problem);
  problem_ = problem;
  return changed;
}

Result<RoleEnvelopes> MetadataKeeper::sign_above(std::uint64_t snapshot) {
  if (snapshot <= std::max(snapshot_version(), floor_of(roles_, "snapshot"))) {
    return RoleEnvelopes();
  }
  roles_.floors().raise("snapshot", snapshot);
  OUTCROP_CHECK(store(roles_, {}));
  return refresh();
}

std::uint64_t MetadataKeeper::snapshot_version() const {
  return roles_.snapshot() ? (*roles_.snapshot())->version : 0;
}

Status MetadataKeeper::sign(RoleSet& roles, RoleEnvelopes& changed) {
  if (!roles.targets() || !roles.revoked()) return {};  // nothing was released yet
  OUTCROP_CHECK(guard_.check(clock_->now(), issued_of(roles)));
  OUTCROP_TRY(snapshot, sign_snapshot(roles));
  if (snapshot) changed.emplace_back("snapshot", roles.snapshot()->envelope());
  OUTCROP_TRY(timestamp, sign_timestamp(roles));
  if (timestamp) changed.emplace_back("timestamp", roles.timestamp()->envelope());
  return {};
}

Status MetadataKeeper::check_clock() {
  return guard_.check(clock_->now(), issued_of(roles_));
}

Result<bool> MetadataKeeper::sign_snapshot(RoleSet& roles) const {
  const Timestamp now = clock_->now();
  const auto& held = roles.snapshot();
  const std::uint64_t floor = floor_of(roles, "snapshot");
  if (held && (*held)->versions == roles.versions() && (*held)->version >= floor &&
      (*held)->expires - now > snapshot_validity / 2) {
    return false;
  }
  trust::SnapshotMetadata next;
  next.version = std::max(held ? (*held)->version : 0, floor) + 1;
  next.expires = now + snapshot_validity;
  next.versions = roles.versions();
  OUTCROP_TRY(envelope, sign_role(next, options_.snapshot_key));
  OUTCROP_CHECK(roles.put_snapshot(envelope));
  return true;
}

Result<bool> MetadataKeeper::sign_timestamp(RoleSet& roles) const {
  const Timestamp now = clock_->now();
  const auto& snapshot = *roles.snapshot();
  const auto& held = roles.timestamp();
  const auto left = held ? (*held)->expires - now : std::chrono::seconds(0);
  if (held && (*held)->snapshot == trust::sha256(snapshot.envelope()) &&
      left > options_.timestamp_validity - std::chrono::days(1) &&
      left <= options_.timestamp_validity) {
    return false;
  }
  trust::TimestampMetadata next;
  const std::uint64_t highest = std::max(held ? (*held)->version : 0, floor_of(roles, "timestamp"));
  const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(
      now.time_since_epoch().count(), 0));
  next.version = std::max(highest + 1, seconds);
  next.issued = now;
  next.expires = now + options_.timestamp_validity;
  next.snapshot_version = snapshot->version;
  next.snapshot = trust::sha256(snapshot.envelope());
  next.snapshot_size = ByteCount(snapshot.envelope().size());
  OUTCROP_TRY(envelope, sign_role(next, options_.timestamp_key));
  OUTCROP_CHECK(roles.put_timestamp(envelope));
  return true;
}

Status MetadataKeeper::store(const RoleSet& roles, const RoleEnvelopes& changed) {
  return registry_->transaction([&]() -> Status {
    std::set<std::string> kept{floors_role};
    for (const auto& [role, envelope] : roles.envelopes()) kept.insert(role);
    OUTCROP_TRY(stored, registry_->metadata());
    for (const auto& [role, envelope] : stored) {
      if (!kept.contains(role)) OUTCROP_CHECK(registry_->remove_metadata(role));
    }
    for (const auto& [role, envelope] : changed) {
      OUTCROP_CHECK(registry_->save_metadata(role, envelope));
    }
    const nlohmann::json floors(roles.floors().versions());
    return registry_->save_metadata(floors_role, json_text(floors));
  });
}

}  // namespace outcrop::fleet
