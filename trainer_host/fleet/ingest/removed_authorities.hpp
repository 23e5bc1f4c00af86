#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Device authorities that a person removed: stolen ones. They are remembered, for a copy of the folder that is still
// in use somewhere would bring them back.

struct RemovedAuthority {
  trust::KeyId key;
  Timestamp when;
  std::string reason;
};
[[nodiscard]] Result<std::vector<RemovedAuthority>> removed_authorities(Registry& registry);

// revoked, with when and why, where it was removed.
[[nodiscard]] Status check_not_removed(Registry& registry, const DeviceAuthority& authority);

// The boards of these that are enrolled by its certificates and not revoked. Checks a signature of each, so it is a worker's
// work.
[[nodiscard]] std::vector<Device> boards_of(std::vector<Device> devices, const DeviceAuthority& authority);

// Removes it and revokes `boards`, which are all of its own, all or nothing. A board whose name is to be used again is
// enrolled anew, by another authority.
[[nodiscard]] Status remove_authority(Registry& registry, const DeviceAuthority& authority, const RemovedAuthority& removed,
                                      const std::vector<std::string>& boards);

}  // namespace outcrop::fleet
