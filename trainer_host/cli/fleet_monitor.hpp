#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet history, measure, audit
void add_fleet_monitor(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
