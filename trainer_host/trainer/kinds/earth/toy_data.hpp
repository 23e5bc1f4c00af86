#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::earth {

// A data set for tests, made in no time: maps of the curved-fault family, and for gathers the
// direct wave and one echo along straight rays at the velocity of the surface.
inline void toy_gathers(std::span<const float> map, std::span<float> gathers, const data::Geometry& geometry) {
  const auto spacing = static_cast<float>(geometry.spacing);
  const auto step_ms = static_cast<float>(1000.0 * geometry.time_step);
  const auto steps_a_second = static_cast<float>(1.0 / geometry.time_step);
  const int delay = static_cast<int>(80.0F / step_ms);  // of the wavelet's peak
  const int half = static_cast<int>(40.0F / step_ms);
  const int times = static_cast<int>(geometry.times);
  const float surface = map[0];
  std::size_t layer = 0;
  while (layer + 1 < geometry.depth && map[layer * geometry.width + geometry.width / 2] == surface) ++layer;
  for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
    const auto source = static_cast<float>(geometry.source_columns[shot]);
    for (std::size_t receiver = 0; receiver < geometry.width; ++receiver) {
      const float offset = spacing * std::abs(static_cast<float>(receiver) - source);
      const float echo = std::hypot(offset, 2.0F * spacing * static_cast<float>(layer));
      for (const auto& [length, strength] : {std::pair(offset, 20.0F), std::pair(echo, 4.0F)}) {
        const int arrival = delay + static_cast<int>(steps_a_second * length / surface);
        for (int t = std::max(0, arrival - half); t < std::min(times, arrival + half); ++t) {
          const float u = 0.047F * step_ms * static_cast<float>(t - arrival);
          const float wave = strength * (1.0F - 2.0F * u * u) * std::exp(-u * u);
          gathers[(shot * geometry.times + static_cast<std::size_t>(t)) * geometry.width + receiver] += wave;
        }
      }
    }
  }
}

// A tenth of OpenFWI's work and less, for tests of what no size changes.
inline data::Geometry small_geometry() {
  data::Geometry geometry;
  geometry.depth = geometry.width = data::least_depth;
  geometry.shots = 2;
  geometry.times = 200;
  geometry.time_step = 0.004;
  geometry.source_columns = data::spread_sources(geometry.shots, geometry.width);
  return geometry;
}

// Of the sizes of OpenFWI it says nothing, as OpenFWI's own folders do; of others it must.
inline Status describe_toy_data(const std::filesystem::path& folder, const data::Geometry& geometry,
                                nlohmann::ordered_json more = nlohmann::ordered_json::object()) {
  if (!geometry.is_openfwi()) more["geometry"] = data::geometry_json(geometry);
  if (more.empty()) return {};
  return write_file_durably(folder / "dataset.json", json_text(more));
}

inline Status make_toy_data(const std::filesystem::path& folder, std::size_t count,
                            std::uint64_t seed, const data::Geometry& geometry = {}) {
  std::vector<float> maps(count * geometry.map_size());
  std::vector<float> gathers(count * geometry.gather_size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::span map(maps.data() + i * geometry.map_size(), geometry.map_size());
    data::make_velocity_map(data::Family::curvefault_a, seed, i, map, geometry);
    toy_gathers(map, {gathers.data() + i * geometry.gather_size(), geometry.gather_size()}, geometry);
  }
  std::filesystem::create_directories(folder);
  OUTCROP_CHECK(describe_toy_data(folder, geometry));
  OUTCROP_CHECK(data::write_npy(folder / "model1.npy", {count, 1, geometry.depth, geometry.width}, maps));
  return data::write_npy(folder / "data1.npy", {count, geometry.shots, geometry.times, geometry.width}, gathers);
}

// Lets such a folder say that `outcrop synth` made it: its maps are those that it would have.
inline Status say_that_synth_made_it(const std::filesystem::path& folder, std::size_t count, std::uint64_t seed,
                                     const data::Geometry& geometry = {}) {
  return describe_toy_data(folder, geometry,
                           {{"source", {{"family", "curvefault-a"}}}, {"seed", seed}, {"samples", count}});
}

}  // namespace outcrop::earth
