#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::evaluate {

// `outcrop condition`.
void add_condition(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::evaluate
