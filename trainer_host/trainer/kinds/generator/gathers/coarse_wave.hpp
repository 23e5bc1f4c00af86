#pragma once

#include <torch/script.h>

#include "trainer_host/trainer/kinds/generator/gathers/coarse_grid.hpp"

namespace outcrop::generator {

// The wave equation on a coarse grid, as TorchScript without weights, of operators that a board's LibTorch
// has:
//   forward(velocity [M, depth, width] in m/s, columns [N] int64) -> pressure [N, times, width]
// Gather n is of a source in column columns[n] over map n, or over the one map where M is 1. Velocities
// must lie within the geometry's bounds. A shot takes `shot_multiply_adds`.
[[nodiscard]] torch::jit::Module make_coarse_wave(const CoarseGrid& grid, const data::Geometry& geometry);
[[nodiscard]] std::int64_t coarse_wave_multiply_adds(const CoarseGrid& grid, const data::Geometry& geometry);

}  // namespace outcrop::generator
