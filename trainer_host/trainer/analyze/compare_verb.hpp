#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::analyze {

// outcrop compare RESULTS... OUT
void add_compare(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::analyze
