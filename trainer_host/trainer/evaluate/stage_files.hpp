#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
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

  std::string model;              // "curvefault", or the file's name
  std::vector<Variant> variants;  // at least one
  std::filesystem::path encoder;  // float TorchScript
  std::filesystem::path weights;  // empty where there are none
  std::optional<std::int64_t> stage;
};

// MODEL is a stage folder as training leaves it, or one .ptl file with `encoder` beside it.
// `wanted` names variants of a folder; none means "float" and "int8-qint8". Fails with not_found
// or invalid_argument, saying what is missing and what would be right.
[[nodiscard]] Result<StageFiles> find_stage_files(
    const std::filesystem::path& model, const std::optional<std::filesystem::path>& encoder,
    const std::vector<std::string>& wanted);

}  // namespace outcrop::evaluate
