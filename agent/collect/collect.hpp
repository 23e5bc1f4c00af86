#pragma once

#include <filesystem>
#include <string>

namespace outcrop::agent {

// All that helps somebody else to see what is wrong with this board, as one JSON text: versions,
// configuration, what doctor and fsck find, the status of an agent that runs, what it wrote down, which files lie there.
// No secret is in it: nothing of the folder of the board's identity is read but names and sizes, and no file by a link or another name,
// or whose owner is neither root nor the agent.
[[nodiscard]] std::string collect(const std::filesystem::path& config);

}  // namespace outcrop::agent
