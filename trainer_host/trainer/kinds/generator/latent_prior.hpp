#pragma once

#include <torch/torch.h>

namespace outcrop::generator {

// The Gaussian that latents are drawn from: latent = mean + factor · noise.
struct LatentPrior {
  torch::Tensor mean;    // [latent], float
  torch::Tensor factor;  // [latent, latent], float, lower triangular (Cholesky)
};

// Fits mean and covariance to the encoder's latents [N, latent], N ≥ 2. The covariance is
// regularized by a thousandth of its mean variance, so that fewer samples than dimensions still
// give a factor. Throws c10::Error on another shape or on values that are not finite.
[[nodiscard]] LatentPrior fit_gaussian(const torch::Tensor& latents);

}  // namespace outcrop::generator
