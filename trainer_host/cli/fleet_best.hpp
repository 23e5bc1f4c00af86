#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet best
void add_fleet_best(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
