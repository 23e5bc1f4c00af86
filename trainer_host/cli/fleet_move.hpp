#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet move-broker
void add_fleet_move(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
