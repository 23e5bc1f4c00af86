#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop {

// What a file is called while it is being written: beside its final name, one for each process.
[[nodiscard]] std::filesystem::path unfinished_name(const std::filesystem::path& path);

// Removes what a killed process was writing into the folder. For a program at its start, and a
// folder that only it writes to.
[[nodiscard]] Status remove_unfinished_files(const std::filesystem::path& folder);

}  // namespace outcrop
