#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::quantize {

// `outcrop quantize`: the variants of given weights, as a stage's end makes them by itself.
void add_quantize(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::quantize
