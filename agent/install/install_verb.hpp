#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

void add_install(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
