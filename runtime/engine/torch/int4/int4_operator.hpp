#pragma once

namespace outcrop::runtime {

// LibTorch's name of it.
inline constexpr const char* int4_operator = "outcrop::linear_int4";

// Makes the operator known to LibTorch, once for the process: call it before a file that has it is loaded. From any
// thread.
//
//   outcrop::linear_int4(Tensor x, Tensor groups, int columns, int group, float unit) -> Tensor
//
// x [..., columns] float32 → [..., rows] float32: x · Wᵀ, where `groups`, uint8
// [rows · columns / group, group / 2 + 4], is W in 4 bits as Int4Rows has it (and as LibTorch's
// embedding_bag_4bit_unpack reads it). x is quantized to int8 by groups; no float32 copy of W is ever made. Made for one
// vector at a time: a matrix in x is multiplied row by row. The number of threads is LibTorch's.
//
// Throws c10::Error for what does not fit together, whatever a file says.
void register_int4_operator();

}  // namespace outcrop::runtime
