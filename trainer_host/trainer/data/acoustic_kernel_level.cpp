// Compiled once for each level of instruction set, under the name OUTCROP_KERNEL_LEVEL. Nothing
// from a header may be instantiated here: the linker could take an AVX2 copy of it for all.
#include "trainer_host/trainer/data/acoustic_kernel.hpp"

namespace outcrop::data {
namespace {

#if defined(__AVX__)
constexpr std::ptrdiff_t lanes = 8;
#else
constexpr std::ptrdiff_t lanes = 4;
#endif
constexpr int count = group_rows;
static_assert(usual_row_stride % lanes == 0);

using Vector = float __attribute__((vector_size(lanes * sizeof(float)), may_alias));
using UnalignedVector =
    float __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));

inline Vector load(const float* from) {
  return *reinterpret_cast<const Vector*>(from);
}
inline Vector load_unaligned(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}

// Written with vectors because the compiler, left to itself, loads every row above and below
// anew for each row: 12 loads a vector instead of 9, and loads are what limits it.
// `known` is the stride where the compiler is to know it, else 0.
template <bool same_alpha, bool same_keep, std::ptrdiff_t known>
inline void advance(const RowGroup& rows) {
  const RowGroup group = rows;  // a copy: stores to the field cannot change it
  const std::ptrdiff_t stride = known > 0 ? known : static_cast<std::ptrdiff_t>(group.stride);
  for (std::ptrdiff_t x = 0; x < stride; x += lanes) {
    Vector column[count + 4];
    for (int i = 0; i < count + 4; ++i) column[i] = load(group.current + x + (i - 2) * stride);
    Vector alpha = load(group.alpha[0] + x);
    Vector keep = load(group.keep[0] + x);
    for (int row = 0; row < count; ++row) {
      const float* beside = group.current + x + row * stride;
      float* out = group.previous + x + row * stride;
      if (!same_alpha) alpha = load(group.alpha[row] + x);
      if (!same_keep) keep = load(group.keep[row] + x);
      const Vector p = column[row + 2];
      const Vector near = (load_unaligned(beside - 1) + load_unaligned(beside + 1)) +
                          (column[row + 1] + column[row + 3]);
      const Vector far = (load_unaligned(beside - 2) + load_unaligned(beside + 2)) +
                         (column[row] + column[row + 4]);
      const Vector laplacian = (16.0F * near - far) - 60.0F * p;
      *reinterpret_cast<Vector*>(out) = (p + keep * (p - load(out))) + alpha * laplacian;
    }
  }
}

template <std::ptrdiff_t known>
inline void advance_group(const RowGroup& group) {
  // The caller's rows change monotonously over a group: equal ends mean equal rows.
  const bool same_alpha = group.alpha[0] == group.alpha[count - 1];
  const bool same_keep = group.keep[0] == group.keep[count - 1];
  if (same_alpha) {
    advance<true, false, known>(group);
  } else if (same_keep) {
    advance<false, true, known>(group);
  } else {
    advance<false, false, known>(group);
  }
}

}  // namespace

void OUTCROP_KERNEL_LEVEL(const RowGroup& group) {
  if (group.stride == usual_row_stride) {
    advance_group<usual_row_stride>(group);
  } else {
    advance_group<0>(group);
  }
}

}  // namespace outcrop::data
