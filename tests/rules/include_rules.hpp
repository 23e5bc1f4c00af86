#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::rules {

// One `#include` that a rule forbids.
struct Violation {
  std::string file;      // from the root of the tree
  std::string included;  // as written
  std::string rule;
};

// Reads every .hpp and .cpp below `root` and returns what breaks the rules of ARCHITECTURE.md.
[[nodiscard]] std::vector<Violation> find_violations(const std::filesystem::path& root);

// The .hpp and .cpp files below `root`, from the root of the tree.
[[nodiscard]] std::vector<std::string> headers_and_sources(const std::filesystem::path& root);

// The .cpp files below `root`, from the root of the tree.
[[nodiscard]] std::vector<std::string> sources(const std::filesystem::path& root);

}  // namespace outcrop::rules
