#pragma once

#include <filesystem>
#include <optional>

namespace outcrop {

// Where a disk belongs that `path` should lie on, by `table` (fstab(5)), and where nothing is
// mounted by `mounted` (the same format). Nothing where all is as it should be, or not known.
[[nodiscard]] std::optional<std::filesystem::path> unmounted_disk_of(
    const std::filesystem::path& path, const std::filesystem::path& table = "/etc/fstab",
    const std::filesystem::path& mounted = "/proc/self/mounts");

}  // namespace outcrop
