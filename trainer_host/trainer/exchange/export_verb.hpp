#pragma once

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::exchange {

// `outcrop export`.
void add_export(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds);

}  // namespace outcrop::exchange
