#pragma once

#include <torch/torch.h>

namespace outcrop::train {

// Mean absolute plus mean squared error, as UB-Diff and OpenFWI's InversionNet are trained.
//   prediction, truth [B, 1, 70, 70], normalized
[[nodiscard]] torch::Tensor velocity_loss(const torch::Tensor& prediction,
                                          const torch::Tensor& truth);

// The same for gathers [B, 5, 1000, 70], over the shots whose weight [B, 5, 1, 1] is 1.
// Differentiable in `prediction` alone.
[[nodiscard]] torch::Tensor gather_loss(const torch::Tensor& prediction, const torch::Tensor& truth,
                                        const torch::Tensor& shot_weight);

}  // namespace outcrop::train
