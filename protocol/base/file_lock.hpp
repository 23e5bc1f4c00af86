#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop {

// A file that one process at a time holds, by flock(2); made with `mode` where it is missing.
// Released with the descriptor, and so with the process, however it ends. Where the file system
// has no locks (NFS without its lock daemon answers ENOLCK), this machine's processes still
// exclude each other, by a socket that is named after the file's device and inode; processes on
// other machines are then not seen.

// Waits for whoever holds it.
[[nodiscard]] Result<UniqueFd> lock_file(const std::filesystem::path& path, mode_t mode);

// Fails with `refused` and these words where another holds it.
[[nodiscard]] Result<UniqueFd> try_lock_file(const std::filesystem::path& path, mode_t mode,
                                             std::string_view refusal);

// The same for a file or folder that is open already. What they return holds the lock: this
// descriptor or, where there are no locks, another.
[[nodiscard]] Result<UniqueFd> lock_open_file(UniqueFd file, const std::filesystem::path& path);
[[nodiscard]] Result<UniqueFd> try_lock_open_file(UniqueFd file, const std::filesystem::path& path,
                                                  std::string_view refusal);

}  // namespace outcrop
