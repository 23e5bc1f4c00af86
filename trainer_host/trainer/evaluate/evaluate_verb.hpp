#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::evaluate {

// `outcrop evaluate`: scores, baselines and a gallery for a trained stage.
void add_evaluate(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::evaluate
