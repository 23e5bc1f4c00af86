#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::sweep {

// `outcrop sweep`.
void add_sweep(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::sweep
