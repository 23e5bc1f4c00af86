#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::agent {

// What is wrong with the files that a board lives by: identity, trust, what it decided, the blobs of
// each release that it may serve, and what lies about that nobody names. Empty where nothing is.
// Reads only, and every blob as a whole. What an agent at work is just writing may be named.
[[nodiscard]] std::vector<std::string> check_files(const std::filesystem::path& state);

}  // namespace outcrop::agent
