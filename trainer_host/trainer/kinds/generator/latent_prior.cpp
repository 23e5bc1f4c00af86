#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"

#include <cmath>

namespace outcrop::generator {
namespace {

constexpr double regularization = 1e-3;

// Both by hand, in double: small, and free of the LAPACK at hand and its threads.

struct Axes {
  torch::Tensor variances;  // [n], the largest first
  torch::Tensor along;      // [n, n]: a column each, of length 1, its largest entry positive
};

// Of a symmetric matrix, by cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5).
Axes principal_axes(const torch::Tensor& symmetric) {
  constexpr int most_sweeps = 60;
  const auto n = symmetric.size(0);
  auto rotated = symmetric.clone();
  auto along = torch::eye(n, torch::kDouble);
  auto a = rotated.accessor<double, 2>();
  auto v = along.accessor<double, 2>();
  const double small = 1e-14 * symmetric.norm().item<double>();
  bool turned = true;
  for (int sweep = 0; turned && sweep < most_sweeps; ++sweep) {
    turned = false;
    for (std::int64_t p = 0; p < n; ++p) {
      for (std::int64_t q = p + 1; q < n; ++q) {
        if (std::abs(a[p][q]) <= small) continue;
        turned = true;
        const double tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
        const double tangent = (tau < 0 ? -1.0 : 1.0) / (std::abs(tau) + std::sqrt(1.0 + tau * tau));
        const double cosine = 1.0 / std::sqrt(1.0 + tangent * tangent);
        const double sine = tangent * cosine;
        const auto turn = [&](double& first, double& second) {
          const double before = first;
          first = cosine * before - sine * second;
          second = sine * before + cosine * second;
        };
        for (std::int64_t k = 0; k < n; ++k) turn(a[k][p], a[k][q]);
        for (std::int64_t k = 0; k < n; ++k) turn(a[p][k], a[q][k]);
        a[p][q] = a[q][p] = 0.0;
        for (std::int64_t k = 0; k < n; ++k) turn(v[k][p], v[k][q]);
      }
    }
  }
  TORCH_CHECK(!turned, "the latents' covariance has no principal axes that could be found");
  const auto [variances, order] = rotated.diagonal().sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  along = along.index_select(1, order);
  const auto largest = along.gather(0, along.abs().argmax(0, /*keepdim=*/true));
  return {variances, along * largest.sign()};
}

// By Gauss and Jordan's elimination, the largest pivot of each column first.
torch::Tensor inverse_of(const torch::Tensor& matrix) {
  const auto n = matrix.size(0);
  auto both = torch::cat({matrix, torch::eye(n, torch::kDouble)}, 1);
  for (std::int64_t column = 0; column < n; ++column) {
    const auto pivot = column + both.select(1, column).slice(0, column).abs().argmax().item<std::int64_t>();
    const auto row = both[pivot] / both[pivot][column];
    TORCH_CHECK(torch::isfinite(row).all().item<bool>(), "the factor of the latents' Gaussian is not of full rank");
    both[pivot].copy_(both[column].clone());
    both.addr_(both.select(1, column).clone(), row, 1.0, -1.0);
    both[column].copy_(row);
  }
  return both.slice(1, n);
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
  const Axes axes = principal_axes(covariance.contiguous());
  // Rounding may take the least of a collapsed encoder's variances below the floor.
  return {mean.to(torch::kFloat), (axes.along * axes.variances.clamp_min(ridge).sqrt()).to(torch::kFloat)};
}

torch::Tensor in_space_of(const LatentPrior& prior, const torch::Tensor& latents) {
  const auto inverse = inverse_of(prior.factor.to(torch::kDouble));
  return (latents - prior.mean).to(torch::kDouble).matmul(inverse.t()).to(torch::kFloat);
}

torch::Tensor out_of_space(const LatentPrior& prior, const torch::Tensor& values) {
  return (values.unsqueeze(1) * prior.factor).sum(2) + prior.mean;
}

}  // namespace outcrop::generator
