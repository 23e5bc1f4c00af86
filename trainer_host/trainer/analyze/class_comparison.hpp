#pragma once

#include <torch/torch.h>

#include <optional>

#include "trainer_host/trainer/analyze/statistics.hpp"

namespace outcrop::analyze {

// The logarithms of probabilities [N, classes], less each row's mean, which is all that probabilities do not tell of logits. These see how far off a model
// is where probabilities near 0 and 1 do not.
[[nodiscard]] torch::Tensor logits_of(const torch::Tensor& probabilities);

// What two models answer to the same samples, sample by sample.
struct ClassComparison {
  McNemar mcnemar;
  std::optional<double> logits_db;  // SQNR of the logits (Distance::sqnr_db)
};

// Probabilities [N, classes] of the model before and after, and int64 labels [N].
[[nodiscard]] ClassComparison compare_classes(const torch::Tensor& before, const torch::Tensor& after,
                                              const torch::Tensor& labels);

}  // namespace outcrop::analyze
