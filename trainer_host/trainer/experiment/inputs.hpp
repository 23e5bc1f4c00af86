#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::experiment {

// What decides results, one "key = value" a line.
using Inputs = std::vector<std::string>;

// Data as they lie there: each file by its path, size and time of change. Files that cannot be looked at are named so.
[[nodiscard]] Inputs inputs_of_data(const std::vector<std::filesystem::path>& places);

// SHA-256 in hex.
[[nodiscard]] std::string digest_of(const Inputs& inputs);

}  // namespace outcrop::experiment
