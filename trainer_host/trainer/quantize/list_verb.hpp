#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::quantize {

// `outcrop list`: the ways to quantize, what each needs and where it ends, and whether this machine can.
void add_list(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::quantize
