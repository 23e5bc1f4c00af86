#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::cli {

// outcrop release publish | export | withdraw | revoke | list: releases on the host. `parent` is `release`.
void add_release_host(CLI::App& parent, Action& chosen);

}  // namespace outcrop::cli
