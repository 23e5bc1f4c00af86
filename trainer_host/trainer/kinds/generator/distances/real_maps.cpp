#include "trainer_host/trainer/kinds/generator/distances/real_maps.hpp"

#include <algorithm>

namespace outcrop::generator {
namespace {

constexpr std::size_t most_compared = 4000;

}  // namespace

Maps first_maps(const earth::Samples& samples, std::size_t most) {
  Maps maps;
  for (std::size_t i = 0; i < std::min(samples.size(), most); ++i) {
    const auto map = samples.velocity(i);
    maps.emplace_back(map.begin(), map.end());
  }
  return maps;
}

torch::Tensor stacked(std::span<const std::vector<float>> maps, const data::Geometry& geometry) {
  torch::Tensor all = torch::empty({static_cast<std::int64_t>(maps.size()), 1, static_cast<std::int64_t>(geometry.depth),
                                    static_cast<std::int64_t>(geometry.width)});
  for (std::size_t i = 0; i < maps.size(); ++i) std::ranges::copy(maps[i], all.data_ptr<float>() + i * geometry.map_size());
  return all;
}

RealMaps real_maps_beside(std::size_t generated, const earth::SplitData& data) {
  RealMaps real{first_maps(data.held_out, generated), first_maps(data.training, most_compared)};
  if (generated < enough_for_frechet || !data.held_out_source) return real;
  data::SynthSource source = *data.held_out_source;
  const auto fill = [&](Maps& maps, std::size_t wanted) {
    for (; maps.size() < wanted; ++source.samples) {
      maps.emplace_back(data.geometry.map_size());
      data::make_velocity_map(source.family, source.seed, source.samples, maps.back(), data.geometry);
    }
  };
  fill(real.others, generated);
  fill(real.reference, most_compared);
  return real;
}

}  // namespace outcrop::generator
