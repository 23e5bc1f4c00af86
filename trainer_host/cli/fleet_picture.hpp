#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet picture
void add_fleet_picture(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
