#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <span>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/earth/samples.hpp"

namespace outcrop::generator {

// What a maker of gathers learns from: one random shot of each map, and what it should have made of it.
struct TrainingShots {
  torch::Tensor maps;     // [N, depth, width], m/s
  torch::Tensor columns;  // [N] int64, of the sources
  torch::Tensor gathers;  // [N, times, width], log-scaled
  torch::Tensor kept;     // [N, times, width], 0 where the direct wave is muted, 1 behind it
};

// Of a `share` of the draws, one at least and as far apart: by turns the map itself, twice, with the gather of the data; the map blurred; and what the
// velocity decoder made of it (`decoded` [draws, 1, depth, width], m/s, mirrored as the draws say), both with
// gathers that our solver makes. Boards see only maps like the last ones, and a maker that knows only those learns
// little of sharp edges. A mirrored map's sources are mirrored as well.
// The same draws give the same shots: chance comes from which samples stand in the batch.
// Of maps made afresh there are no recorded gathers: all are our solver's.
[[nodiscard]] TrainingShots training_shots(const earth::SplitData& data, std::span<const kinds::Draw> draws,
                                           const torch::Tensor& decoded, double share);
// Of samples `first` to `first + count`, unchanged: shot after shot by turns.
[[nodiscard]] TrainingShots recorded_shots(const earth::Samples& samples, std::size_t first, std::size_t count,
                                           const data::Geometry& geometry);

// ‖error‖² / ‖truth‖², of all shots together, and the same with the direct wave muted: the sum of both.
[[nodiscard]] torch::Tensor misfit_loss(const torch::Tensor& gathers, const TrainingShots& truth);

}  // namespace outcrop::generator
