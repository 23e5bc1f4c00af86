#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// A weight [rows, columns] in codes of few bits, a scale and a minimum for each group of columns that
// stand beside each other:
//
//   value = (code · scale + minimum) / column scale
//
// Scales and minimums are what a file will hold: float16 times `unit`, a power of two that puts the
// largest of a tensor near float16's upper end, so that weights of 1e-30 keep their digits. Codes were
// chosen with the scales from before that rounding, as others' are; it puts values of 4 bits off by at most
// .008 of a step.
struct GroupCodes {
  int bits = 4;
  std::int64_t group = 0;       // columns that share a scale; divides them
  torch::Tensor codes;          // uint8 [rows, columns]
  torch::Tensor scales;         // float32 [rows, columns / group]; 0 for a group of zeros
  torch::Tensor minimums;       // float32 [rows, columns / group]
  int unit_exponent = 0;        // unit is 2 to the power of it
  torch::Tensor order;          // int64 [columns]: column i of the codes is the weight's order[i];
                                // undefined where they are in the weight's own order
  torch::Tensor column_scales;  // float32 [columns], each a float16; undefined where there are none
};

// float32 [rows, columns], in the weight's order, to the bit what storage/ expands.
[[nodiscard]] torch::Tensor float_values(const GroupCodes& groups);

struct GroupOptions {
  int bits = 4;              // 2 to 8
  std::int64_t group = 128;  // columns; -1 is the whole row
  bool symmetric = false;    // zero in the middle of the codes, instead of where the group asks for it
};

// The columns of a group. invalid_argument where they do not divide, naming both numbers: a last group
// that is filled up would make a file of another layout than the ones that others read.
[[nodiscard]] Result<std::int64_t> group_of(const GroupOptions& options, std::int64_t columns);

// invalid_argument unless it is float32 [rows, columns], neither of them 0, and finite.
[[nodiscard]] Status check_weight(const torch::Tensor& weight);

// Rounds what was computed to what is kept. `scales` and `zeros` float32 [rows, groups]: value =
// (code - zero) · scale.
[[nodiscard]] GroupCodes kept_groups(const torch::Tensor& codes, const torch::Tensor& scales,
                                     const torch::Tensor& zeros, int bits);

// The exponent of the power of two by which values up to `largest` are divided to be kept as float16.
[[nodiscard]] int half_unit_exponent(double largest);

}  // namespace outcrop::quantize
