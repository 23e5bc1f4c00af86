#include "trainer_host/trainer/kinds/generator/distances/set_distance.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/generator/distances/feature_distance.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"

namespace outcrop::generator {
namespace {

constexpr std::size_t at_once = 256;
constexpr std::size_t smallest_side = 16;

torch::Tensor features_of(const MapEncoder& encoder, const Maps& set, const data::Geometry& geometry) {
  std::vector<torch::Tensor> features;
  for (std::size_t first = 0; first < set.size(); first += at_once) {
    const std::size_t rows = std::min(at_once, set.size() - first);
    torch::Tensor maps = torch::empty({static_cast<std::int64_t>(rows), 1, static_cast<std::int64_t>(geometry.depth),
                                       static_cast<std::int64_t>(geometry.width)});
    for (std::size_t i = 0; i < rows; ++i) {
      const auto& map = set[first + i];
      std::copy(map.begin(), map.end(), maps.data_ptr<float>() + i * geometry.map_size());
    }
    features.push_back(encoder((maps - 3000.0) / 1500.0));  // as the encoder was trained, whatever the data's bounds
  }
  return torch::cat(features);
}

}  // namespace

std::optional<SetDistance> distance_of_maps(const Maps& maps, const RealMaps& real, const data::Geometry& geometry) {
  const bool referred = real.reference.size() > 1;
  if (maps.size() < 2 || (!referred && real.others.size() < 2)) return std::nullopt;
  if (std::min(geometry.depth, geometry.width) < smallest_side) return std::nullopt;
  const MapEncoder encoder;
  const torch::Tensor drawn = features_of(encoder, maps, geometry);
  const torch::Tensor others = real.others.size() > 1 ? features_of(encoder, real.others, geometry) : torch::Tensor();
  const torch::Tensor reference = referred ? features_of(encoder, real.reference, geometry) : others;
  std::int64_t fewest = std::min(drawn.size(0), reference.size(0));
  if (others.defined()) fewest = std::min(fewest, others.size(0));
  const bool frechet = fewest >= static_cast<std::int64_t>(enough_for_frechet);
  const auto distance = [&](const torch::Tensor& set) {
    return frechet ? frechet_distance(set, reference) : kernel_distance(set, reference);
  };
  SetDistance result{frechet ? "frechet" : "kernel", distance(drawn), std::nullopt, static_cast<std::size_t>(fewest), encoder.digest()};
  if (referred && others.defined()) result.real = distance(others);
  return result;
}

}  // namespace outcrop::generator
