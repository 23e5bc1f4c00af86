#pragma once

#include <torch/torch.h>

namespace outcrop::generator {

// The Gaussian that latents are drawn from: latent = mean + factor · noise.
struct LatentPrior {
  torch::Tensor mean;    // [latent], float
  torch::Tensor factor;  // [latent, latent], float, of full rank
};

// Fits mean and covariance to the encoder's latents [N, latent], N ≥ 2. The columns of the factor are the principal axes,
// each as long as the standard deviation along it, the longest first: the first numbers of the noise decide what most maps
// differ by, the last ones next to nothing. The covariance is regularized by a thousandth of its mean variance, so that fewer
// samples than dimensions still give a factor. Throws c10::Error on another shape or on values that are not finite.
[[nodiscard]] LatentPrior fit_gaussian(const torch::Tensor& latents);

// [N, latent] → [N, latent]: factor⁻¹ · (latent - mean), and mean + factor · x.
[[nodiscard]] torch::Tensor in_space_of(const LatentPrior& prior, const torch::Tensor& latents);
[[nodiscard]] torch::Tensor out_of_space(const LatentPrior& prior, const torch::Tensor& values);

}  // namespace outcrop::generator
