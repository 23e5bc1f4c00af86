#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop rollout start | status | pause | resume | abort
void add_rollout(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
