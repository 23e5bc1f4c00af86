#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

// Gives this board its identity: request and accept.
void add_enroll(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
