#pragma once

#include <cstdint>

namespace outcrop::models {

// The two loops that the memory of a training step is spent on, apart from LibTorch's headers so
// that they can be compiled for vectors of their own.

struct AdamCoefficients {
  float decay;  // what is left of a weight
  float gradient_scale;
  float step_size;          // learning rate over the bias correction of the first moment
  float second_correction;  // 1 / sqrt(1 - beta2^t)
  float beta1;
  float beta2;
  float epsilon;
};

// One AdamW update of `count` weights and their moments.
void adam_update(float* weight, const float* gradient, float* first, float* second,
                 std::int64_t count, const AdamCoefficients& coefficients);

// Sum of |d| + d² with d = prediction - truth; writes scale · its derivative to `slope`. Summed in
// a fixed order.
[[nodiscard]] double absolute_plus_squared(const float* prediction, const float* truth,
                                           float* slope, std::int64_t count, float scale);

}  // namespace outcrop::models
