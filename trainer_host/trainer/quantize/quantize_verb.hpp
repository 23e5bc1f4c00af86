#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::quantize {

// `outcrop quantize`: the variants of given weights, as a stage's end makes them by itself. `kinds` must
// outlive the program's work.
void add_quantize(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::quantize
