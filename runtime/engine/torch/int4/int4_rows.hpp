#pragma once

// Without includes of the standard library's templates: int4_rows_level.cpp is compiled for several levels of
// instruction set, and the linker could take an AVX2 copy of a template for all.
#include <stddef.h>
#include <stdint.h>

namespace outcrop::runtime {

// Rows of a matrix in 4 bits, and the vector that they are multiplied by.
struct Int4Rows {
  // Of each row, of each group of its columns: two codes a byte, the first column in the lower half, then scale and minimum
  // in float16. A weight is (code · scale + minimum) · unit.
  const uint8_t* groups;
  size_t rows;
  size_t groups_in_row;
  size_t group;  // columns; even
  float unit;
  // The vector in int8, the columns of even number of a group before those of odd number; what a step of it is in each
  // group, and the sum of its codes times that.
  const int8_t* codes;
  const float* steps;
  const float* sums;
  float* products;  // one for each row
};

// (Σ (scale · step) · Σ code · code + Σ minimum · sum) · unit: integers within a group, then float32 in the order of groups
// and without fused multiply-add, so that all levels answer the same bits.
using MultiplyInt4Rows = void (*)(const Int4Rows&);

}  // namespace outcrop::runtime
