#pragma once

#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::earth {

// Between which velocities the maps of a data set lie, metres a second: networks see them min-max
// normalized by these, from -1 to 1 (Deng et al. 2022, "OpenFWI", appendix on training). By default
// OpenFWI's.
struct VelocityBounds {
  double slowest = static_cast<double>(data::grid::slowest);
  double fastest = static_cast<double>(data::grid::fastest);

  [[nodiscard]] double middle() const { return (fastest + slowest) / 2; }
  [[nodiscard]] double half_range() const { return (fastest - slowest) / 2; }
};

[[nodiscard]] inline VelocityBounds bounds_of(const data::Geometry& geometry) {
  return {static_cast<double>(geometry.slowest), static_cast<double>(geometry.fastest)};
}

}  // namespace outcrop::earth
