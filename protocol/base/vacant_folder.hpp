#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop {

// Where a folder that appears as a whole (publish_folder) may be made, and where it is filled.

// Whether a folder may be made at `path`: nothing is there, or an empty folder. What a volume
// brings along (lost+found), what file managers leave and what was being filled there (names that
// begin with a dot; see filling_place) do not count.
[[nodiscard]] bool is_vacant(const std::filesystem::path& path);

// Where what is to become `final_path` is filled: `beside`, a path in the same parent folder, or,
// where `final_path` is there already, ".incomplete" within it. An empty folder may be ".", a
// mount point or a volume, which no rename replaces and whose disk is another one.
[[nodiscard]] std::filesystem::path filling_place(const std::filesystem::path& final_path,
                                                  const std::filesystem::path& beside);

}  // namespace outcrop
