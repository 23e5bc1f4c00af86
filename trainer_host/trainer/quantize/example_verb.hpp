#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::quantize {

// `outcrop example`: a small trained model with rows, to try the ways to quantize on, and what to type.
void add_example(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::quantize
