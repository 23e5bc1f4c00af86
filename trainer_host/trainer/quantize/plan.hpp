#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// What a layer costs in int8 and in float, as it was measured (mixed/choose_formats.hpp): milliseconds of a call.
struct LayerCost {
  double int8_ms = 0.0;
  double float_ms = 0.0;
  double enter_ms = 0.0;  // what comes in to codes, where floats are before it
  double leave_ms = 0.0;  // what comes in to floats, where codes are before it
  double end_ms = 0.0;    // what its network answers to floats
  double alone_db = 0.0;  // of the answers, with this layer alone in int8; to read

  friend bool operator==(const LayerCost&, const LayerCost&) = default;
};

// What becomes of one layer of a variant.
struct LayerDecision {
  std::string layer;      // its part and its path: "map_decoder.mix1"
  std::string operation;  // "conv2d", "linear", "lstm", "matmul"
  std::string format;     // "int8", "4-bit", "float"
  std::string reason;     // of float: why
  std::int64_t weights = 0;        // what it has, for whoever reads the plan
  std::int64_t multiply_adds = 0;  // for one sample
  // What its format may be: float, and what the method has for such a layer. Not in the file.
  std::vector<std::string> formats{};
  std::optional<LayerCost> cost{};  // where it was measured
};

// The values that a tensor's 256 codes reach, of quantization-aware training.
struct PlannedRange {
  std::string tensor;  // the layer that answers it, with its part's name before: "network.conv1"; "network.input"
  double low = 0.0;
  double high = 0.0;
};

// How codes of weights are chosen (quantize/codes), by the names that their papers' programs gave them.
struct WeightOptions {
  std::int64_t group_size = 128;  // weights of a row that share a scale; -1: all of a row
  bool sym = false;               // codes around zero
  double damp_percent = 0.01;     // gptq: share of the Hessian's mean diagonal added to it
  bool desc_act = false;          // gptq: columns in the order of how much comes through them
  bool double_quant = true;       // nf4: scales have codes of their own

  friend bool operator==(const WeightOptions&, const WeightOptions&) = default;
};

// What becomes of a model in one variant: a TOML file beside it, to be read, changed and given back.
struct Plan {
  std::string variant;   // "int8-qint8"
  std::string method;    // "static"
  std::string observer;  // how ranges of activations are chosen: "squared-error", "min-max"; "" without
  // Of the float network, before (quantize/corrections): in a plan to be followed, which are tried; in one beside a
  // variant, which stayed. Nothing of methods that try none.
  std::optional<std::vector<std::string>> corrections{};
  std::optional<WeightOptions> weights{};  // of methods that choose codes of weights alone
  std::optional<double> other_ms{};        // of a call, besides the layers' costs
  std::vector<PlannedRange> ranges{};      // that were trained, for whoever reads the plan
  std::vector<LayerDecision> layers;       // in the order of execution

  [[nodiscard]] const LayerDecision* layer(const std::string& name) const;
};

[[nodiscard]] std::string to_toml(const Plan& plan);
// Keys of such a table, each with the value that `fallback` has where it is not there.
[[nodiscard]] WeightOptions read_weight_options(platform::TomlReader::Table& table, const WeightOptions& fallback);
// invalid_argument names file, line and key; a layer that stands there twice is refused.
[[nodiscard]] Result<Plan> read_plan(const std::filesystem::path& file);

}  // namespace outcrop::quantize
