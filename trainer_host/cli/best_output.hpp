#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/release_names.hpp"

namespace outcrop::cli {

// The answer of GET /v1/best: a table of variants and one of releases for each class. `filtered`: not all
// boards were asked for.
[[nodiscard]] std::string best_tables(const Json& answer, const ReleaseDetails& releases, const View& view,
                                      bool filtered = false);

}  // namespace outcrop::cli
