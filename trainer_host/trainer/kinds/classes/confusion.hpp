#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace outcrop::classes {

// How many samples of a class (row) were taken for which (column).
using ConfusionCounts = std::vector<std::vector<std::uint64_t>>;

// Of probabilities [N, classes], and int64 labels [N] below `classes`.
[[nodiscard]] ConfusionCounts confusion_counts(const torch::Tensor& probabilities, const torch::Tensor& labels);

}  // namespace outcrop::classes
