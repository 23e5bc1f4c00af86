#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::generator {

// The U-Net (Ronneberger et al. 2015) over time × receiver that makers of gathers share, one shot at a time
// with the same weights for all: residual blocks (He et al. 2016) at three sizes, sums instead of
// concatenations across, so that all of it has int8 kernels. It works at a sixteenth of the times and half
// of the receivers: of a shot [times, width] each 16 times × 2 receivers are channels of one position
// ("phases"). Silence comes out where nothing was learned.
namespace phases {
inline constexpr std::int64_t times = 16;
inline constexpr std::int64_t receivers = 2;
inline constexpr std::int64_t channels = times * receivers;
}  // namespace phases

// Positions of a shot of this geometry: rows, columns.
[[nodiscard]] std::array<std::int64_t, 2> phase_positions(const data::Geometry& geometry);

// [N, inputs, rows, columns] → [N, phases::channels, rows, columns].
[[nodiscard]] std::vector<models::Layer> gather_net_layers(std::int64_t inputs, const data::Geometry& geometry);

// What a maker's source is written with, over attributes `times`, `width`, `phase_rows`, `phase_columns` and
// buffers `ramp`, `offsets` that register_phases() makes:
//   log_scaled(pressure), pressure_of(y)   between pressure and sign(p)·log(1 + |p|) / log(61), the latter clamped
//   phases(x [N, times, width]) -> [N, 32, rows, columns], and back: whole(x)
//   narrowed(x): the signed root, by which a step of 8 bits is finer near zero, where reflections are; widened(x)
//     undoes it, but with a slope where it is steepest
//   beside(velocity [M, depth, width], columns [N]) -> [N, 5, rows, columns]: where a position is: offset and velocity
//     of its receivers, velocity at the source, time, and time since the direct wave
inline constexpr std::int64_t beside_channels = 5;
[[nodiscard]] std::string phases_source();
void register_phases(torch::jit::Module& maker, const data::Geometry& geometry);

}  // namespace outcrop::generator
