#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

inline constexpr const char* revoked_by_list =
    "named by its device authority's list of revoked certificates";

// Revokes every board whose certificate the authority's list names, whoever brought the list: what
// an authority has recorded is not forgotten by a registry that was restored. Returns the boards
// that were not revoked before. Errors: those of RevocationList::read().
[[nodiscard]] Result<std::vector<std::string>> revoke_listed(Registry& registry,
                                                             const DeviceAuthority& authority,
                                                             Timestamp now);

}  // namespace outcrop::fleet
