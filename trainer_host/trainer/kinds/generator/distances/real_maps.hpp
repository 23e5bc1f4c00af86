#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <span>
#include <vector>

#include "trainer_host/trainer/kinds/earth/samples.hpp"

namespace outcrop::generator {

using Maps = std::vector<std::vector<float>>;  // depth*width velocities in m/s each

// The first of them, `most` at most.
[[nodiscard]] Maps first_maps(const earth::Samples& samples, std::size_t most);
// [N, 1, depth, width], m/s.
[[nodiscard]] torch::Tensor stacked(std::span<const std::vector<float>> maps, const data::Geometry& geometry);

// Below, the bias of the Fréchet distance is larger than what differs.
inline constexpr std::size_t enough_for_frechet = 2000;

// Real maps that generated ones are held against.
struct RealMaps {
  Maps others;     // as many as generated ones at most: what real maps themselves come to
  Maps reference;  // what both are compared with; may be none
};

// Held-out maps and training maps. Where enough_for_frechet are generated, and the folder of held-out maps says of which family
// and seed it was made, further ones of these stand beside them: so many gathers need not be solved for a distance of maps.
[[nodiscard]] RealMaps real_maps_beside(std::size_t generated, const earth::SplitData& data);

}  // namespace outcrop::generator
