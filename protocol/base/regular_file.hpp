#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop {

// A file, open for reading. What is no regular file is invalid_data: a pipe that nobody writes to is
// refused, not waited for.
[[nodiscard]] Result<UniqueFd> open_regular_file(const std::filesystem::path& path);

}  // namespace outcrop
