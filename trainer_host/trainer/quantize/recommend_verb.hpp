#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::quantize {

// `outcrop recommend`: which methods to try first on a model. `kinds` must outlive the program's work.
void add_recommend(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::quantize
