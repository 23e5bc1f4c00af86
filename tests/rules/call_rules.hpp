#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::rules {

// A call that has one place in the tree, made in another.
struct ForbiddenCall {
  std::string file;  // from the root of the tree
  std::size_t line = 0;
  std::string rule;
};

// Reads what is no test below `root`. JSON becomes text by json_text alone: dump() throws where a text
// holds bytes that are no UTF-8, and a path may hold any.
[[nodiscard]] std::vector<ForbiddenCall> find_forbidden_calls(const std::filesystem::path& root);

}  // namespace outcrop::rules
