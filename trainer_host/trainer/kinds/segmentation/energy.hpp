#pragma once

#include <span>

#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::segmentation {

// The gathers' energy at the place of each cell of a map: for a cell at depth z below receiver x, the
// root mean square of what that receiver recorded of all shots within 20 ms of the time at which a
// vertical reflection from z comes back, t = 2 ∫ dz / v along the column, with the wavelet's peak
// (data::wavelet_peak: at 73 ms for 15 Hz); under log1p. It brings what was recorded in time to the cells
// of depth, as a migration's first guess does; cells that answer later than was recorded have 0.
//
// `map` holds depth × width velocities in m/s, `gathers` shots × times × width pressures, `energy` gets
// depth × width values, 0 and above.
void gather_energy(std::span<const float> map, std::span<const float> gathers,
                   std::span<float> energy, const data::Geometry& geometry = {});

}  // namespace outcrop::segmentation
