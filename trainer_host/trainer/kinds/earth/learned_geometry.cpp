#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"

#include <nlohmann/json.hpp>

namespace outcrop::earth {
namespace {

constexpr const char* key = "geometry";

}  // namespace

void keep_geometry(nlohmann::json& shape, const data::Geometry& geometry) {
  if (!geometry.is_openfwi()) shape[key] = whole_geometry_json(geometry);
}

Result<data::Geometry> kept_geometry(const nlohmann::json& shape) {
  const auto found = shape.find(key);
  if (found == shape.end()) return data::Geometry();
  return data::parse_whole_geometry(*found);
}

}  // namespace outcrop::earth
