#pragma once

#include <cstdint>
#include <filesystem>

namespace outcrop {

// What a power cut leaves of a folder. A file has the content that it had when it was synced last,
// a folder the names that it had then: they are kept in `synced`, by inode.

// All that is there: as after a sync of everything.
void keep_all_synced(const std::filesystem::path& folder, const std::filesystem::path& synced);
// An open file or folder that is being synced.
void keep_synced(int fd, const std::filesystem::path& synced);

// Makes `folder` what is left of it. The seed says of each folder whether its names were on the
// disk already though nobody had asked for that, and how much of each file that was never synced.
void cut_power(const std::filesystem::path& folder, const std::filesystem::path& synced,
               std::uint64_t seed);

}  // namespace outcrop
