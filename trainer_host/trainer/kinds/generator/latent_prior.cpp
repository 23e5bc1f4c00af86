#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"

#include <cmath>

namespace outcrop::generator {
namespace {

constexpr double regularization = 1e-3;

// By hand, in double: small, and free of the LAPACK at hand and its threads.
torch::Tensor lower_cholesky(const torch::Tensor& matrix) {
  const auto n = matrix.size(0);
  auto factor = torch::zeros({n, n}, torch::kDouble);
  const auto a = matrix.accessor<double, 2>();
  auto l = factor.accessor<double, 2>();
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = j; i < n; ++i) {
      double sum = a[i][j];
      for (std::int64_t k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      if (i == j) {
        TORCH_CHECK(sum > 0, "the latents' covariance is not positive definite");
        l[j][j] = std::sqrt(sum);
      } else {
        l[i][j] = sum / l[j][j];
      }
    }
  }
  return factor;
}

}  // namespace

LatentPrior fit_gaussian(const torch::Tensor& latents) {
  torch::NoGradGuard no_gradient;
  TORCH_CHECK(latents.dim() == 2 && latents.size(0) >= 2,
              "a Gaussian is fitted to latents [N >= 2, latent], not ", latents.sizes());
  TORCH_CHECK(torch::isfinite(latents).all().item<bool>(), "latents are not finite");
  const auto samples = latents.to(torch::kDouble);
  const auto mean = samples.mean(0);
  const auto centred = samples - mean;
  auto covariance = centred.t().matmul(centred) / static_cast<double>(samples.size(0) - 1);
  // The floor keeps a collapsed encoder (no variance at all) from ending here without a factor.
  const double ridge =
      std::max(regularization * covariance.diagonal().mean().item<double>(), 1e-12);
  covariance += torch::eye(covariance.size(0), torch::kDouble) * ridge;
  return {mean.to(torch::kFloat), lower_cholesky(covariance.contiguous()).to(torch::kFloat)};
}

}  // namespace outcrop::generator
