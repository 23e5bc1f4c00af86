#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::evaluate {

// outcrop draw
void add_draw(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::evaluate
