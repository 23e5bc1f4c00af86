#include "trainer_host/trainer/kinds/generator/distances/set_distance.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/generator/distances/feature_distance.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"

namespace outcrop::generator {
namespace {

constexpr std::size_t most_compared = 4000;
constexpr std::size_t at_once = 256;
// Below, the bias of the Fréchet distance is larger than what differs.
constexpr std::int64_t enough_for_frechet = 2000;
constexpr std::size_t smallest_side = 16;

template <class MapAt>
torch::Tensor features_of(const MapEncoder& encoder, std::size_t count, const data::Geometry& geometry, const MapAt& map_at) {
  std::vector<torch::Tensor> features;
  for (std::size_t first = 0; first < count; first += at_once) {
    const std::size_t rows = std::min(at_once, count - first);
    torch::Tensor maps = torch::empty({static_cast<std::int64_t>(rows), 1, static_cast<std::int64_t>(geometry.depth),
                                       static_cast<std::int64_t>(geometry.width)});
    for (std::size_t i = 0; i < rows; ++i) {
      const std::span<const float> map = map_at(first + i);
      std::copy(map.begin(), map.end(), maps.data_ptr<float>() + i * geometry.map_size());
    }
    features.push_back(encoder((maps - 3000.0) / 1500.0));  // as the encoder was trained, whatever the data's bounds
  }
  return torch::cat(features);
}

}  // namespace

std::optional<SetDistance> distance_of_maps(const std::vector<std::vector<float>>& maps,
                                            const std::vector<std::vector<float>>& held_out, const earth::Samples* training,
                                            const data::Geometry& geometry) {
  const bool has_training = training != nullptr && training->size() > 1;
  if (maps.size() < 2 || (!has_training && held_out.size() < 2)) return std::nullopt;
  if (std::min(geometry.depth, geometry.width) < smallest_side) return std::nullopt;
  const MapEncoder encoder;
  const auto of = [&](const std::vector<std::vector<float>>& set) {
    return features_of(encoder, set.size(), geometry, [&](std::size_t i) { return std::span<const float>(set[i]); });
  };
  const torch::Tensor drawn = of(maps);
  const torch::Tensor real = held_out.size() > 1 ? of(held_out) : torch::Tensor();
  const torch::Tensor reference =
      has_training ? features_of(encoder, std::min(training->size(), most_compared), geometry,
                                 [&](std::size_t i) { return training->velocity(i); })
                   : real;
  std::int64_t fewest = std::min(drawn.size(0), reference.size(0));
  if (real.defined()) fewest = std::min(fewest, real.size(0));
  const bool frechet = fewest >= enough_for_frechet;
  const auto distance = [&](const torch::Tensor& set) {
    return frechet ? frechet_distance(set, reference) : kernel_distance(set, reference);
  };
  SetDistance result{frechet ? "frechet" : "kernel", distance(drawn), std::nullopt, static_cast<std::size_t>(fewest), encoder.digest()};
  if (has_training && real.defined()) result.real = distance(real);
  return result;
}

}  // namespace outcrop::generator
