#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet tag, outcrop fleet group
void add_fleet_tags(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
