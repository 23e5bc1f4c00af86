#include "trainer_host/trainer/kinds/generator/batch.hpp"

#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

torch::Tensor view_of(std::span<const float> values, at::IntArrayRef shape) {
  // from_blob wants a mutable pointer; nothing writes through it.
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat);
}

}  // namespace

torch::Tensor load_maps(const earth::SplitData& data, std::span<const kinds::Draw> draws) {
  const data::Geometry& geometry = data.geometry;
  auto maps = torch::empty({static_cast<std::int64_t>(draws.size()), 1, static_cast<std::int64_t>(geometry.depth),
                            static_cast<std::int64_t>(geometry.width)});
  for (std::size_t i = 0; i < draws.size(); ++i) {
    auto map = maps[static_cast<std::int64_t>(i)];
    data.write_map(draws[i].sample, {map.data_ptr<float>(), geometry.map_size()});
    if (draws[i].mirrored) map.copy_(map.flip({2}));
  }
  return normalize_velocity(maps, earth::bounds_of(geometry));
}

Batch load_batch(const earth::Samples& samples, std::span<const kinds::Draw> draws,
                 const data::Geometry& geometry) {
  const auto depth = static_cast<std::int64_t>(geometry.depth);
  const auto width = static_cast<std::int64_t>(geometry.width);
  const auto shots = static_cast<std::int64_t>(geometry.shots);
  const auto times = static_cast<std::int64_t>(geometry.times);
  const auto count = static_cast<std::int64_t>(draws.size());
  auto velocity = torch::empty({count, 1, depth, width});
  auto gathers = torch::empty({count, shots, times, width});
  auto shot_weight = torch::ones({count, shots, 1, 1});
  for (std::int64_t i = 0; i < count; ++i) {
    const kinds::Draw& draw = draws[static_cast<std::size_t>(i)];
    auto map = view_of(samples.velocity(draw.sample), {1, depth, width});
    auto recorded = view_of(samples.gathers(draw.sample), {shots, times, width});
    if (draw.mirrored) {
      map = map.flip({2});
      recorded = recorded.flip({0, 2});
      for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
        const std::size_t opposite = geometry.source_columns[geometry.shots - 1 - shot];
        if (geometry.source_columns[shot] + opposite != geometry.width - 1) {
          shot_weight[i][static_cast<std::int64_t>(shot)] = 0.0;
        }
      }
    }
    velocity[i].copy_(map);
    gathers[i].copy_(recorded);
  }
  return {normalize_velocity(velocity, earth::bounds_of(geometry)), normalize_pressure(gathers),
          shot_weight};
}

}  // namespace outcrop::generator
