#pragma once

#include <filesystem>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::release {

// Files and folders of a folder under construction, which publish_folder() syncs and renames as
// a whole: nothing here is synced one by one. already_exists where the name is taken; a file
// that could not be written whole is removed.
[[nodiscard]] Status write_new_file(const std::filesystem::path& path, BytesView bytes);
[[nodiscard]] Status write_new_file(const std::filesystem::path& path, std::string_view text);
[[nodiscard]] Status make_folder(const std::filesystem::path& path, unsigned mode);

}  // namespace outcrop::release
