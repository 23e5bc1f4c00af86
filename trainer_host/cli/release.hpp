#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop release create | show | verify, and those of release_host.hpp
void add_release(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
