#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

void add_fsck(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
