#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop device authorities, outcrop device remove-authority
void add_device_authorities(CLI::App& device, Action& chosen);

}  // namespace outcrop::cli
