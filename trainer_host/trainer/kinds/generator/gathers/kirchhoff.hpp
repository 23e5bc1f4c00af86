#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::generator {

// A learned Kirchhoff sum (Kirchhoff modelling as in Docherty 1991, its weights learned): convolutions over the map make
// features of every image point; each is added to the gather of every receiver at the time at which an echo of that
// point would come, the time from the source to it and on to the receiver. Times are those along straight legs, each
// √(τ² + h²/v²) of the vertical time τ and the root mean square velocity v between (Dix 1955), means over the columns
// between. Image points are a cell deep and two wide, and go on 10 columns of them beyond both sides. Features of the
// midpoint's column are laid at its reflection time besides, and spikes where the direct wave comes. From there on it
// is the U-Net's.
//
// Convolutions are layers that become int8; laying out is float, of operators that a board's LibTorch has, and legs of
// receivers are computed once for all shots over a map.

// Features of image points, of [M, 1, depth, width + 6], normalized maps whose sides are repeated three times.
inline constexpr std::int64_t repeated_columns = 3;
[[nodiscard]] std::vector<models::Layer> gather_front_layers();

// Channels of what is laid out: [N, channels, rows, columns] of phases.
[[nodiscard]] std::int64_t kirchhoff_channels();

// Over what phases_source() has:
//   imaged(velocity [M, depth, width]) -> what the front takes
//   kirchhoff(features, velocity [M, depth, width], columns [N]) -> [N, kirchhoff_channels(), rows, columns]
// M is N, or 1.
[[nodiscard]] std::string kirchhoff_source();
void register_kirchhoff(torch::jit::Module& maker, const data::Geometry& geometry);

// Of one map's shots.
[[nodiscard]] std::int64_t kirchhoff_multiply_adds(const data::Geometry& geometry);

}  // namespace outcrop::generator
