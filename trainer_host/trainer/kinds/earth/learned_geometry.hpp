#pragma once

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::earth {

// The geometry that a model learned from, in the JSON that describes its networks: under "geometry", and
// nothing where it is OpenFWI's, as in what was written before there were others.
void keep_geometry(nlohmann::json& shape, const data::Geometry& geometry);
// And back. invalid_data where what stands there is no geometry.
[[nodiscard]] Result<data::Geometry> kept_geometry(const nlohmann::json& shape);

}  // namespace outcrop::earth
