#pragma once

#include <torch/torch.h>

namespace outcrop::generator {

// Mean absolute plus mean squared error, as UB-Diff and OpenFWI's InversionNet are trained, and
// `edge_weight` times the mean absolute error of the differences between neighbouring cells, down
// and across (Mathieu et al. 2016): maps are layers of one velocity each, and this error sees
// ripples in a layer and a blurred interface where the other two hardly do.
//   prediction, truth [B, 1, 70, 70], normalized
[[nodiscard]] torch::Tensor velocity_loss(const torch::Tensor& prediction,
                                          const torch::Tensor& truth, double edge_weight);

// The same for gathers [B, 5, 1000, 70], over the shots whose weight [B, 5, 1, 1] is 1.
// Differentiable in `prediction` alone.
[[nodiscard]] torch::Tensor gather_loss(const torch::Tensor& prediction, const torch::Tensor& truth,
                                        const torch::Tensor& shot_weight);

}  // namespace outcrop::generator
