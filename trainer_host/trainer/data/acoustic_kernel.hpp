#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

// The inner loop of the acoustic solver, compiled once for each level of instruction set and
// chosen at run time. Every level does the same operations in the same order on each cell, none
// fused, so the bits are the same on every one of them.

namespace outcrop::data {

// Cells from row to row, the same for fields and coefficients. Rows lie one behind the other and begin
// at 64-byte boundaries; what is left behind `columns` cells, `least_row_padding` or more, is zero in
// fields and coefficients alike: the kernel computes it too (as zero), and it serves the next row as
// its left neighbours.
inline constexpr std::size_t least_row_padding = 2;
[[nodiscard]] constexpr std::size_t row_stride(std::size_t columns) {
  constexpr std::size_t boundary = 64 / sizeof(float);
  return (columns + least_row_padding + boundary - 1) / boundary * boundary;
}
// That of OpenFWI's maps of 70 columns, 120 absorbing ones on each side: known to the compiler.
inline constexpr std::size_t usual_row_stride = row_stride(310);
static_assert(usual_row_stride == 320);

// Rows advanced together: a row that is loaded serves all of them as neighbour above or below.
inline constexpr std::size_t group_rows = 4;

// What neighbouring rows need to take one step.
struct RowGroup {
  float* previous;       // p one step back at the first row; becomes p one step ahead
  const float* current;  // p at the first row; two rows before and two behind are read too
  const float* alpha[group_rows];  // (v dt / dx)^2 / 12 for each row
  const float* keep[group_rows];   // 1 - kappa for each row
  std::size_t stride;              // row_stride() of all of them
};

// p+ = p + keep (p - p-) + alpha (16 S1 - S2 - 60 p), S1 and S2 the sums over the four
// neighbours at distance 1 and 2.
using AdvanceRowGroup = void (*)(const RowGroup& group);

struct AcousticKernel {
  std::string_view name;  // "x86-64", "x86-64-v3" (AVX2), "generic"
  AdvanceRowGroup advance;
};

// Those that this machine can run, the fastest last. AVX-512 is not among them: where it was
// measured (docs/measurements.md) it was no faster than AVX2.
[[nodiscard]] const std::vector<AcousticKernel>& acoustic_kernels();

}  // namespace outcrop::data
