#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop keys init | renew | revoke | rotate | publish
void add_keys(CLI::App& app, Action& chosen);

}  // namespace outcrop::cli
