#pragma once

#include <string>

#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// How good what the boards of outcropd's /v1/devices serve is, a line for each release: the model's
// own error on held-out data beside that of the mean of its training data. Empty where none serves.
[[nodiscard]] std::string quality_notes(const Json& devices);

}  // namespace outcrop::cli
