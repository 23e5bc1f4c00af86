#include "trainer_host/fleet/metadata/release_states.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace outcrop::fleet {
namespace {

std::pair<ReleaseState, std::string> state_of(const RoleSet& roles, const ReleaseRecord& release) {
  if (roles.revoked()) {
    for (const trust::Revocation& entry : (*roles.revoked())->manifests) {
      if (entry.what == release.manifest) return {ReleaseState::revoked, entry.reason};
    }
  }
  const std::string role = trust::stage_role(release.model);
  const auto stage = roles.stages().find(release.model);
  if (stage == roles.stages().end()) {
    return {ReleaseState::withdrawn, role + " does not hold any more"};
  }
  if (stage->second->release(release.manifest) == nullptr) {
    return {ReleaseState::withdrawn, role + " does not list it any more"};
  }
  return {ReleaseState::published, ""};
}

}  // namespace

Status update_release_states(Registry& registry, const RoleSet& roles) {
  OUTCROP_TRY(releases, registry.releases());
  return registry.transaction([&]() -> Status {
    for (ReleaseRecord& release : releases) {
      const auto [state, reason] = state_of(roles, release);
      if (state == release.state && reason == release.reason) continue;
      spdlog::info("release {} of {}: {} {}", release.manifest.short_hex(), release.model,
                   to_string(state), reason);
      release.state = state;
      release.reason = reason;
      OUTCROP_CHECK(registry.save(release));
    }
    return {};
  });
}

}  // namespace outcrop::fleet
