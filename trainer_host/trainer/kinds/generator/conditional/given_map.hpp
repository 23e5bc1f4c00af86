#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/conditioning.hpp"

namespace outcrop::generator {

// The map that a user's conditions name.
struct GivenMap {
  std::vector<float> values;   // depth × width, m/s, held between the geometry's bounds; NaN where nothing is known
  std::vector<float> whole;    // what it was before columns were chosen
  std::size_t known = 0;       // cells
  std::vector<std::string> remarks;  // "12 cells lie outside of …"
};

// invalid_argument and invalid_data say what the array has and what would be right: its last two sizes are the geometry's, it
// has the sample, columns lie in it, something is known, and most of that lies between the geometry's bounds.
[[nodiscard]] Result<GivenMap> given_map(const kinds::Conditions& conditions, const data::Geometry& geometry);

}  // namespace outcrop::generator
