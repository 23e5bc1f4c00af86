#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::stage {

// `outcrop import`.
void add_import(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::stage
