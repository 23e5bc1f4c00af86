#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

// What `outcrop evaluate` is pointed at: the files of a trained stage.
struct StageFiles {
  struct Variant {
    std::string name;  // "float", "int8-qint8"
    std::filesystem::path file;
  };

  std::vector<Variant> variants;  // at least one
  std::filesystem::path weights;
};

// MODEL is a stage folder as training leaves it, or one .ptl file with `weights` beside it; empty
// `weights`: those of the folder. `wanted` names variants of a folder; none means "float" and
// "int8-qint8", of which one will do. Fails with not_found or invalid_argument, saying what is missing
// and what would be right.
[[nodiscard]] Result<StageFiles> find_stage_files(const std::filesystem::path& model,
                                                  const std::filesystem::path& weights,
                                                  const std::vector<std::string>& wanted);

}  // namespace outcrop::evaluate
