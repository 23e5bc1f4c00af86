// Compiled once for each level of instruction set, under the name OUTCROP_PLAIN_LEVEL.
#include "bench/solver_plain.hpp"

namespace outcrop::bench {

void OUTCROP_PLAIN_LEVEL(const PlainGrid& grid) {
  const std::size_t n = grid.side;
  float* __restrict out = grid.previous;
  const float* __restrict p = grid.current;
  const float* __restrict alpha = grid.alpha;
  const float* __restrict kappa = grid.kappa;
  for (std::size_t row = 2; row < n - 2; ++row) {
    for (std::size_t i = row * n + 2; i < row * n + n - 2; ++i) {
      const float near = p[i - 1] + p[i + 1] + p[i - n] + p[i + n];
      const float far = p[i - 2] + p[i + 2] + p[i - 2 * n] + p[i + 2 * n];
      out[i] = (2.0F - 5.0F * alpha[i] - kappa[i]) * p[i] - (1.0F - kappa[i]) * out[i] +
               alpha[i] * (4.0F / 3.0F * near - 1.0F / 12.0F * far);
    }
  }
}

}  // namespace outcrop::bench
