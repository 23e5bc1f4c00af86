#pragma once

#include <string>

#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// What outcropd wants a person to do something about, a line each, behind an empty line; "" while
// all is well. `about`: its answer to GET /v1/host.
[[nodiscard]] std::string host_notes(const Json& about);

}  // namespace outcrop::cli
