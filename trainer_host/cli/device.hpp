#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop device enroll | sign | list | revoke | publish
void add_device(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
