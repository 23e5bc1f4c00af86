#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// What becomes of one layer of a variant.
struct LayerDecision {
  std::string layer;      // its part and its path: "map_decoder.mix1"
  std::string operation;  // "conv2d", "conv_transpose2d" or "linear"
  std::string format;     // "int8" or "float"
  std::string reason;     // of float: why
  std::int64_t weights = 0;        // what it has, for whoever reads the plan
  std::int64_t multiply_adds = 0;  // for one sample
};

// What becomes of a model in one variant: a TOML file beside it, to be read, changed and given back.
struct Plan {
  std::string variant;   // "int8-qint8"
  std::string method;    // "static"
  std::string observer;  // how ranges of activations are chosen: "squared-error", "min-max"; "" without
  std::vector<LayerDecision> layers;  // in the order of execution

  [[nodiscard]] const LayerDecision* layer(const std::string& name) const;
};

[[nodiscard]] std::string to_toml(const Plan& plan);
// invalid_argument names file, line and key; a layer that stands there twice is refused.
[[nodiscard]] Result<Plan> read_plan(const std::filesystem::path& file);

}  // namespace outcrop::quantize
