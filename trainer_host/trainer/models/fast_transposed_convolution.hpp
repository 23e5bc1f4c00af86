#pragma once

#include <torch/torch.h>

#include <array>
#include <cstdint>

namespace outcrop::models {

// conv_transpose2d(x, weight, bias, stride, padding) without groups, dilation or output padding,
// differentiable in x, weight and bias. Same result up to the order of summation.
//
// A transposed convolution is the input gradient of a convolution, and LibTorch computes that one
// with oneDNN where its own conv_transpose2d multiplies matrices one sample at a time.
//   x [B, I, H, W], weight [I, O, kh, kw], bias [O]
// Throws c10::Error on shapes that do not fit.
[[nodiscard]] torch::Tensor fast_transposed_convolution(const torch::Tensor& x,
                                                        const torch::Tensor& weight,
                                                        const torch::Tensor& bias,
                                                        std::array<std::int64_t, 2> stride,
                                                        std::array<std::int64_t, 2> padding);

}  // namespace outcrop::models
