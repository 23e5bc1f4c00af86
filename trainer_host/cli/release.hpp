#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop release create | show | verify
void add_release(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
