#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet layers
void add_fleet_layers(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
