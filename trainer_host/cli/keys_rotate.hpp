#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop keys rotate [ROLE...]
void add_rotate(CLI::App& keys, Action& chosen);

}  // namespace outcrop::cli
