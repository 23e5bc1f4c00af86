#pragma once

#include <torch/torch.h>

namespace outcrop::generator {

// Maps [N, 1, rows, columns] smoothed by a Gaussian of this standard deviation, in cells, above 0; what lies beyond a border
// is as the cell at it. From any thread.
[[nodiscard]] torch::Tensor blurred(const torch::Tensor& maps, double deviation);

}  // namespace outcrop::generator
