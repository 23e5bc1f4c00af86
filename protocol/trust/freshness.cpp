#include "protocol/trust/freshness.hpp"

#include <algorithm>

namespace outcrop::trust {
namespace {

bool same_keys(const RootMetadata& a, const RootMetadata& b, const std::string& role) {
  const auto in_a = a.roles.find(role);
  const auto in_b = b.roles.find(role);
  if (in_a == a.roles.end() || in_b == b.roles.end()) return false;
  auto keys_a = in_a->second.keyids;
  auto keys_b = in_b->second.keyids;
  std::sort(keys_a.begin(), keys_a.end());
  std::sort(keys_b.begin(), keys_b.end());
  return keys_a == keys_b && in_a->second.threshold == in_b->second.threshold;
}

}  // namespace

Status check_expiry(std::string_view role, const RoleHeader& header, Timestamp now) {
  if (now < header.expires) return {};
  return fail(ErrorCode::expired, std::string(role) + ": expired on " + to_rfc3339(header.expires) +
                                      "; it is " + to_rfc3339(now));
}

Status VersionFloors::check(const std::string& role, std::uint64_t version) const {
  const auto floor = versions_.find(role);
  if (floor == versions_.end() || version >= floor->second) return {};
  return fail(ErrorCode::untrusted, role + ": version " + std::to_string(version) +
                                        " is older than version " + std::to_string(floor->second) +
                                        ", which was seen before");
}

void VersionFloors::raise(const std::string& role, std::uint64_t version) {
  std::uint64_t& floor = versions_[role];
  floor = std::max(floor, version);
}

void VersionFloors::accept_root(const RootMetadata& before, const RootMetadata& next,
                                const StillCounts& still_counts) {
  for (const std::string& role : top_level_roles()) {
    if (role == RootMetadata::kind || same_keys(before, next, role)) continue;
    if (still_counts(role)) continue;
    versions_.erase(role);
    if (role == TargetsMetadata::kind) {
      std::erase_if(versions_, [](const auto& entry) { return entry.first.starts_with("stage-"); });
    }
  }
  raise(std::string(RootMetadata::kind), next.version);
}

}  // namespace outcrop::trust
