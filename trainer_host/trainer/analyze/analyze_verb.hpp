#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::analyze {

// outcrop analyze ORIGINAL QUANTIZED OUT
void add_analyze(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::analyze
