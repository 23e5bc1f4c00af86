#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/metadata/role_set.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Brings the releases of the registry in line with the signed metadata: revoked where the list of
// revocations names them, withdrawn where their stage role lists them no more, else published.
[[nodiscard]] Status update_release_states(Registry& registry, const RoleSet& roles);

}  // namespace outcrop::fleet
