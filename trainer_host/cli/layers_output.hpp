#pragma once

#include <string>

#include "protocol/messages/layers.hpp"
#include "trainer_host/cli/fleet_output.hpp"

namespace outcrop::cli {

// What each variant spends a call on, by operator: which took longest comes first.
[[nodiscard]] std::string layers_tables(const messages::Layers& layers, const View& view);

}  // namespace outcrop::cli
