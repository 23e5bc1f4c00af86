#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace outcrop::quantize {

LayerInputs::LayerInputs(std::int64_t columns)
    : hessian_(torch::zeros({columns, columns})), sum_abs_(torch::zeros({columns}, torch::kDouble)) {}

Status LayerInputs::add(const torch::Tensor& inputs) {
  const auto columns = hessian_.size(0);
  if (inputs.dim() != 2 || inputs.size(1) != columns || inputs.scalar_type() != torch::kFloat) {
    return fail(ErrorCode::invalid_argument,
                "a layer's inputs are to be float32 [n, " + std::to_string(columns) + "]");
  }
  if (inputs.size(0) == 0) return {};
  if (!torch::isfinite(inputs).all().item<bool>()) {
    return fail(ErrorCode::invalid_argument, "a layer's inputs are infinite or not a number");
  }
  const torch::NoGradGuard no_gradient;
  const auto all = count_ + inputs.size(0);
  const torch::Tensor scaled = inputs * std::sqrt(2.0 / static_cast<double>(all));
  hessian_.mul_(static_cast<double>(count_) / static_cast<double>(all));
  hessian_.add_(torch::matmul(scaled.t(), scaled));
  sum_abs_.add_(inputs.abs().sum(0, /*keepdim=*/false, torch::kDouble));
  count_ = all;
  return {};
}

torch::Tensor LayerInputs::mean_abs() const {
  return (sum_abs_ / static_cast<double>(std::max<std::int64_t>(count_, 1))).to(torch::kFloat);
}

double output_error(const torch::Tensor& difference, const torch::Tensor& hessian) {
  return torch::matmul(difference, hessian).mul_(difference).sum(torch::kDouble).item<double>();
}

}  // namespace outcrop::quantize
