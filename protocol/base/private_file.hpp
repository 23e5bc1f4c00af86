#pragma once

#include <filesystem>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop {

// Replaces `path` durably by a file that only its owner may read, from its first byte on.
[[nodiscard]] Status write_private_file(const std::filesystem::path& path, std::string_view text);

// Makes the folder and those above it, each for the owner alone; nothing where it is there.
[[nodiscard]] Status make_private_folder(const std::filesystem::path& folder);

}  // namespace outcrop
