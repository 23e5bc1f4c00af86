#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"

namespace outcrop::quantize {

// A layer that could be int8, and what became of it.
struct MixedLayer {
  std::string name;       // with its part's
  std::string operation;  // "conv2d"
  bool int8 = false;
  LayerFigures figures;
  std::string why;
};

// A whole model that was made and tried.
struct MixedEvaluation {
  std::string what;           // "all int8"
  std::size_t int8_layers = 0;
  Whole whole;                // measured
  std::optional<double> likeness{};  // of the golden calls, where the model has such a measure
  bool chosen = false;
};

// How mixed came to its plan.
struct MixedReport {
  kinds::MixedWishes wishes;
  std::string likeness_name;  // "SSIM"; "" without
  std::vector<MixedLayer> layers;            // in the order of execution
  std::vector<MixedEvaluation> evaluations;  // in their order
  std::vector<std::string> remarks;
};

// Tables for people: the layers, then what was tried.
[[nodiscard]] std::string mixed_text(const MixedReport& report);
[[nodiscard]] nlohmann::ordered_json mixed_to_json(const MixedReport& report);

}  // namespace outcrop::quantize
