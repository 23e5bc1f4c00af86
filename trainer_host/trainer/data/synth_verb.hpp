#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::data {

// `outcrop synth`: makes a data set. See synthesize.
void add_synth(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::data
