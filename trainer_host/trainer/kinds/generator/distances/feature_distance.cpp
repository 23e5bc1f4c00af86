#include "trainer_host/trainer/kinds/generator/distances/feature_distance.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

void check(const Tensor& first, const Tensor& second) {
  TORCH_CHECK(first.dim() == 2 && second.dim() == 2 && first.size(1) == second.size(1) && first.size(0) > 1 &&
                  second.size(0) > 1,
              "a distance is between features [N, d] and [M, d] of two samples at least, not ", first.sizes(), " and ",
              second.sizes());
}

Tensor covariance(const Tensor& features) {
  const Tensor centered = features - features.mean(0, true);
  return centered.t().mm(centered) / (features.size(0) - 1);
}

// Of a symmetric matrix without negative eigenvalues, but for rounding.
Tensor square_root(const Tensor& matrix) {
  const auto [values, vectors] = torch::linalg_eigh(matrix);
  return (vectors * values.clamp_min(0).sqrt()).mm(vectors.t());
}

Tensor kernel(const Tensor& x, const Tensor& y) { return (x.mm(y.t()) / x.size(1) + 1.0).pow(3); }

double mean_of_others(const Tensor& x) {
  const auto n = static_cast<double>(x.size(0));
  const Tensor all = kernel(x, x);
  return (all.sum() - all.diagonal().sum()).item<double>() / (n * (n - 1));
}

}  // namespace

double frechet_distance(const Tensor& first, const Tensor& second) {
  check(first, second);
  const Tensor a = first.to(torch::kDouble);
  const Tensor b = second.to(torch::kDouble);
  const Tensor of_a = covariance(a);
  const Tensor of_b = covariance(b);
  const Tensor root = square_root(of_a);
  // (Σ₁ Σ₂)^½ has the eigenvalues of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric.
  const Tensor product = root.mm(of_b).mm(root);
  const Tensor shared = torch::linalg_eigvalsh((product + product.t()) / 2).clamp_min(0).sqrt().sum();
  const Tensor distance = (a.mean(0) - b.mean(0)).pow(2).sum() + of_a.trace() + of_b.trace() - 2 * shared;
  return distance.item<double>();
}

double kernel_distance(const Tensor& first, const Tensor& second) {
  check(first, second);
  const Tensor a = first.to(torch::kDouble);
  const Tensor b = second.to(torch::kDouble);
  return mean_of_others(a) + mean_of_others(b) - 2 * kernel(a, b).mean().item<double>();
}

}  // namespace outcrop::generator
