#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/torch/int4/int4_rows.hpp"

namespace outcrop::runtime {

// A vector on its way to be multiplied by matrices in 4 bits: int8 codes with a step for each group of columns, chosen by
// the largest of the group (as dynamic quantization does, but by group). A group with a number that is not finite has no
// number as its step, and so have all products.
class Int4Vector {
 public:
  // `columns` is a multiple of `group`, which is even.
  Int4Vector(const float* values, std::size_t columns, std::size_t group);

  // `rows` of a matrix with as many columns and the same groups, from `groups` on; their products go to `products`.
  [[nodiscard]] Int4Rows times(const std::uint8_t* groups, std::size_t rows, float unit, float* products) const;

 private:
  std::size_t group_;
  std::vector<std::int8_t> codes_;
  std::vector<float> steps_;
  std::vector<float> sums_;
};

// Bytes of one group of columns: its codes, its scale and its minimum.
constexpr std::size_t int4_group_bytes(std::size_t group) { return group / 2 + 4; }

struct Int4Level {
  std::string name;  // "baseline", "avx2", "dotprod"
  MultiplyInt4Rows multiply;
};
// What this processor runs, the fastest last; all of them answer the same bits. From any thread.
[[nodiscard]] std::span<const Int4Level> int4_levels();

}  // namespace outcrop::runtime
