#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

// The first thing to run on a board, and whenever something is wrong there.
void add_doctor(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
