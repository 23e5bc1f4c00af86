#pragma once

#include <cstddef>

// The same stencil as the solver's in the obvious loop, left to the compiler's vectorizer: what
// the solver is measured against. Compiled with -O3 for the same levels of instruction set.

namespace outcrop::bench {

// A square grid with a border of two zero cells; `side` counts the border.
struct PlainGrid {
  float* previous;  // becomes p one step ahead
  const float* current;
  const float* alpha;  // (v dt / dx)^2
  const float* kappa;  // damping * dt
  std::size_t side;
};

using PlainStep = void (*)(const PlainGrid& grid);

void plain_step_baseline(const PlainGrid& grid);
#ifdef OUTCROP_KERNEL_X86_LEVELS
void plain_step_v3(const PlainGrid& grid);
void plain_step_v4(const PlainGrid& grid);
#endif

}  // namespace outcrop::bench
