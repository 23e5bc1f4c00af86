#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::experiment {

// `outcrop experiment`.
void add_experiment(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::experiment
