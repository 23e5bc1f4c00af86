#pragma once

#include <torch/torch.h>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// A weight [rows, columns] in 8 bits: value = code · scale of the row.
struct RowCodes {
  torch::Tensor codes;   // int8 [rows, columns], -127 to 127
  torch::Tensor scales;  // float32 [rows]; 1 for a row of zeros
};

// Symmetric rounding by row (LLM.int8()'s vector-wise weights, Dettmers et al. 2022, arXiv 2208.07339;
// the range without -128 is that of QNNPACK's and XNNPACK's weights): scale = max|w| / 127. A row below
// 1e-36 becomes zeros. invalid_argument as check_weight has it.
[[nodiscard]] Result<RowCodes> round_rows_int8(const torch::Tensor& weight);

// float32 [rows, columns].
[[nodiscard]] torch::Tensor float_values(const RowCodes& rows);

}  // namespace outcrop::quantize
