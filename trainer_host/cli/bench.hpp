#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// `outcrop bench RELEASE`: proves and measures a release's variants on this machine.
void add_bench(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
