#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop fleet adopt
void add_adopt(CLI::App& fleet, Action& chosen);

}  // namespace outcrop::cli
