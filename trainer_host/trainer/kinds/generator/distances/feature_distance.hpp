#pragma once

#include <torch/torch.h>

namespace outcrop::generator {

// How far two sets of samples are from each other by their features [N, d] and [M, d], of one encoder. Pure functions, in
// double; from any thread. Both throw c10::Error for fewer than two rows or other shapes.

// The Fréchet distance of the normal distributions that have their means and covariances, |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ -
// 2 (Σ₁ Σ₂)^½): Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS
// 2017. Biased upwards by about d²/N: meaningful only beside that of two halves of real data of as many samples.
[[nodiscard]] double frechet_distance(const torch::Tensor& first, const torch::Tensor& second);

// The kernel distance: the unbiased estimate of the squared maximum mean discrepancy with the kernel (x·y/d + 1)³. Bińkowski
// et al., "Demystifying MMD GANs", ICLR 2018. For few samples; may fall below zero where the sets are alike.
[[nodiscard]] double kernel_distance(const torch::Tensor& first, const torch::Tensor& second);

}  // namespace outcrop::generator
