#pragma once

#include <string>

#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// The release that a person means by the start of its manifest's digest or by its folder, among
// those that outcropd has: its record of GET /v1/releases. Errors: not_found; invalid_argument
// where several begin so.
[[nodiscard]] Result<Json> find_release(const HostConnection& host, const std::string& name);

}  // namespace outcrop::cli
