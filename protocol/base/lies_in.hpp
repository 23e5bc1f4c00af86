#pragma once

#include <algorithm>
#include <filesystem>

namespace outcrop {

// Whether `path` is `folder`, or below it, by their names alone: both absolute and normal.
[[nodiscard]] inline bool lies_in(const std::filesystem::path& path,
                                  const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace outcrop
