#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

void add_collect(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
