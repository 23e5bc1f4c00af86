#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// `outcrop release export`: a release with all that a board asks for, for boards that are brought theirs by hand.
void add_release_export(CLI::App& parent, Action& chosen);

}  // namespace outcrop::cli
