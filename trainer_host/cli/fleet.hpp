#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet devices | reports | adopt
void add_fleet(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
