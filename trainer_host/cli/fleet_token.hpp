#pragma once

#include <CLI/CLI.hpp>

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// `outcrop fleet token`: who may come to outcropd by TCP.
void add_fleet_tokens(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
