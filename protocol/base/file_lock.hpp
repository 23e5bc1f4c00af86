#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop {

// A file that one process at a time holds, by flock(2); made with `mode` where it is missing.
// Released with the descriptor, and so with the process, however it ends.

// Waits for whoever holds it.
[[nodiscard]] Result<UniqueFd> lock_file(const std::filesystem::path& path, mode_t mode);

// Fails with `refused` and these words where another holds it.
[[nodiscard]] Result<UniqueFd> try_lock_file(const std::filesystem::path& path, mode_t mode,
                                             std::string_view refusal);

}  // namespace outcrop
