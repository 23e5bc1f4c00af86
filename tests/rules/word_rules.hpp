#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::rules {

// A word that has its places in the tree, found in another.
struct MisplacedWord {
  std::string file;  // from the root of the tree
  std::size_t line = 0;
  std::string rule;
};

// Reads what is no test and no benchmark below `root`. JSON becomes text by json_text alone: dump()
// throws where a text holds bytes that are no UTF-8, and a path may hold any. What a model is about is
// known to its kind and to data: the rest of the tree knows signatures.
[[nodiscard]] std::vector<MisplacedWord> find_misplaced_words(const std::filesystem::path& root);

}  // namespace outcrop::rules
