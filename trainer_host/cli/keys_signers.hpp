#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// `outcrop keys show`, `make-key`, `add-key`, `remove-key` and `threshold`: whose signatures a role asks for.
void add_signers(CLI::App& keys, Action& chosen);

}  // namespace outcrop::cli
