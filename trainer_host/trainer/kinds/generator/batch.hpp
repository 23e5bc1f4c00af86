#pragma once

#include <torch/torch.h>

#include <span>

#include "trainer_host/trainer/kinds/earth/samples.hpp"

namespace outcrop::generator {

// What the networks see of some samples.
struct Batch {
  torch::Tensor velocity;     // [B, 1, depth, width], normalized
  torch::Tensor gathers;      // [B, shots, times, width], normalized
  torch::Tensor shot_weight;  // [B, shots, 1, 1]: 0 where a flipped sample has no such shot, else 1
};

// A flipped map is recorded by the mirrored sources: shots in reverse, receivers in reverse. A source
// that has none opposite, as OpenFWI's in the middle (at column 34, it would stand at 35): its gather
// counts nothing.
[[nodiscard]] Batch load_batch(const earth::Samples& samples, std::span<const kinds::Draw> draws,
                               const data::Geometry& geometry = {});

// The maps of such a batch, of training samples or made afresh: [B, 1, depth, width], normalized.
[[nodiscard]] torch::Tensor load_maps(const earth::SplitData& data, std::span<const kinds::Draw> draws);

}  // namespace outcrop::generator
