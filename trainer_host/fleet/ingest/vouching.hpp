#pragma once

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// The authority of these that has signed a board's certificate, and not revoked it since. Errors: refused, untrusted, revoked.
[[nodiscard]] Result<DeviceAuthority> vouches_for(const std::vector<DeviceAuthority>& authorities,
                                                  const std::string& certificate, const std::string& serial);

}  // namespace outcrop::fleet
