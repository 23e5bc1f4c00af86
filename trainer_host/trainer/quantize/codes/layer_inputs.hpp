#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// What a layer's inputs were like, as far as the choice of its codes depends on them. Memory: the
// square of the columns, in float32. One thread at a time.
class LayerInputs {
 public:
  explicit LayerInputs(std::int64_t columns);

  // `inputs` float32 [n, columns]: what is multiplied with the weight's columns (of a convolution, its
  // patches). invalid_argument for another shape, or where a value is infinite or not a number.
  [[nodiscard]] Status add(const torch::Tensor& inputs);

  // 2/n · Σ x xᵀ, float32 [columns, columns]: Frantar et al. 2022 (arXiv 2210.17323), kept as a running
  // mean, so that it neither grows nor loses digits with the count. The tensor itself: not to be changed.
  [[nodiscard]] const torch::Tensor& hessian() const { return hessian_; }
  // Float32 [columns]; zeros before the first.
  [[nodiscard]] torch::Tensor mean_abs() const;
  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  torch::Tensor hessian_;
  torch::Tensor sum_abs_;  // float64
  std::int64_t count_ = 0;
};

// Σ over rows of d H dᵀ: the mean squared error of the layer's outputs, summed over them and doubled, where
// its weights are off by `difference` [rows, columns].
[[nodiscard]] double output_error(const torch::Tensor& difference, const torch::Tensor& hessian);

}  // namespace outcrop::quantize
