#pragma once

#include <cstdint>
#include <string>

#include "trainer_host/trainer/kinds/evaluation.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::evaluate {

// "curvefault, stage 2, epoch 40, trained in 4 min".
[[nodiscard]] std::string title_of(const models::ModelDescription& model);

// Variants and baselines as a table, and sentences below it.
[[nodiscard]] std::string evaluation_text(const kinds::Evaluation& evaluation,
                                          const std::string& title);

// The picture that was drawn of it: its name, or why there is none; neither where none was asked for.
struct DrawnPicture {
  std::string name;
  std::string why_not;
};

// One JSON object: "variants" and "baselines" with each figure under its output and metric, null where
// it says nothing.
[[nodiscard]] std::string evaluation_json(const kinds::Evaluation& evaluation,
                                          const models::ModelDescription& model,
                                          const DrawnPicture& picture, int indent = -1);

}  // namespace outcrop::evaluate
