#pragma once

#include "trainer_host/cli/verb.hpp"

namespace outcrop::cli {

// outcrop release create | show | verify
void add_release(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
