// Compiled once for each level of instruction set, under the name OUTCROP_KERNEL_LEVEL. Nothing
// from a header may be instantiated here: the linker could take an AVX-512 copy of it for all.
#include "trainer_host/trainer/data/acoustic_kernel.hpp"

namespace outcrop::data {
namespace {

constexpr std::ptrdiff_t stride = row_stride;

inline float step(const float* p, float previous, float alpha, float keep) {
  const float near = (p[-1] + p[1]) + (p[-stride] + p[stride]);
  const float far = (p[-2] + p[2]) + (p[-2 * stride] + p[2 * stride]);
  const float laplacian = (16.0F * near - far) - 60.0F * p[0];
  return (p[0] + keep * (p[0] - previous)) + alpha * laplacian;
}

}  // namespace

// Two rows at once share six of the ten loads of rows above and below.
void OUTCROP_KERNEL_LEVEL(const RowPair& rows) {
  float* __restrict out = static_cast<float*>(__builtin_assume_aligned(rows.previous, 64));
  const float* __restrict p = static_cast<const float*>(__builtin_assume_aligned(rows.current, 64));
  const float* __restrict alpha0 =
      static_cast<const float*>(__builtin_assume_aligned(rows.alpha[0], 64));
  const float* __restrict alpha1 =
      static_cast<const float*>(__builtin_assume_aligned(rows.alpha[1], 64));
  const float* __restrict keep0 =
      static_cast<const float*>(__builtin_assume_aligned(rows.keep[0], 64));
  const float* __restrict keep1 =
      static_cast<const float*>(__builtin_assume_aligned(rows.keep[1], 64));
  for (std::ptrdiff_t x = 0; x < stride; ++x) {
    out[x] = step(p + x, out[x], alpha0[x], keep0[x]);
    out[x + stride] = step(p + x + stride, out[x + stride], alpha1[x], keep1[x]);
  }
}

}  // namespace outcrop::data
