#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::evaluate {

// `outcrop evaluate`: scores, baselines and a picture for a trained stage. `kinds` must outlive the
// program's work.
void add_evaluate(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::evaluate
