#pragma once

#include <filesystem>
#include <string>

#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

// What a model's outputs and times hang on besides the release, as one text that changes when any of
// it does: kernel, firmware, the runner's program.
[[nodiscard]] std::string surroundings(const runtime::MachineFiles& files,
                                       const std::filesystem::path& runner);

// "cold", "warm", "hot" by the hottest sensor; `before` stays within 3 degrees of a border. "" where nothing says.
[[nodiscard]] std::string temperature_class(const runtime::MachineFiles& files, const std::string& before);

}  // namespace outcrop::agent
