#pragma once

#include <filesystem>

namespace outcrop {

// How many processors this process may keep busy, at least 1: those that it may run on (taskset,
// cpusets), or fewer where a control group's quota of time (version 1 or 2, of its own group or
// one above it: containers, systemd's CPUQuota) is less; a broken quota is rounded up. Threads
// beyond that only take turns. Not the machine's number: that is hardware_concurrency().
// `root` is where proc/ is looked for.
[[nodiscard]] unsigned available_processors(const std::filesystem::path& root = "/");

}  // namespace outcrop
