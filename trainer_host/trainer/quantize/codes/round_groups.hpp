#pragma once

#include <torch/torch.h>

#include "trainer_host/trainer/quantize/codes/group_codes.hpp"

namespace outcrop::quantize {

// A scale and a zero point for each row of `weight` [n, columns]: value = (code - zero) · scale, codes
// 0 to 2^bits - 1. As Quantizer.find_params of GPTQ's authors has them (github.com/IST-DASLab/gptq,
// quant.py): the range includes 0; symmetric, it is as wide on both sides; zeros alone get -1 to 1.
struct GroupScales {
  torch::Tensor scales;  // float32 [n]
  torch::Tensor zeros;   // float32 [n], whole numbers
};
[[nodiscard]] GroupScales group_scales(const torch::Tensor& weight, int bits, bool symmetric);

// The codes of `weight`, as floats: clamp(round(w / scale) + zero), halves to even.
[[nodiscard]] torch::Tensor round_to(const torch::Tensor& weight, const torch::Tensor& scales,
                                     const torch::Tensor& zeros, int bits);

// Rounding to nearest in groups, what the papers of gptq and awq call RTN: by the scales above.
// invalid_argument as check_weight and group_of have it.
[[nodiscard]] Result<GroupCodes> round_groups(const torch::Tensor& weight, const GroupOptions& options);

}  // namespace outcrop::quantize
