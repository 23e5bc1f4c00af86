#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::earth {

// A data set for tests, made in no time: maps of the curved-fault family, and for gathers the
// direct wave and one echo along straight rays at the velocity of the surface.
inline void toy_gathers(std::span<const float> map, std::span<float> gathers) {
  constexpr std::size_t sources[] = {0, 17, 34, 52, 69};
  const float surface = map[0];
  std::size_t layer = 0;
  while (layer < 69 && map[layer * 70 + 35] == surface) ++layer;
  for (std::size_t shot = 0; shot < 5; ++shot) {
    for (std::size_t receiver = 0; receiver < 70; ++receiver) {
      const float offset =
          10.0F * std::abs(static_cast<float>(receiver) - static_cast<float>(sources[shot]));
      const float echo = std::hypot(offset, 20.0F * static_cast<float>(layer));
      for (const auto& [length, strength] : {std::pair(offset, 20.0F), std::pair(echo, 4.0F)}) {
        const int arrival = 80 + static_cast<int>(1000.0F * length / surface);
        for (int t = std::max(0, arrival - 40); t < std::min(1000, arrival + 40); ++t) {
          const float u = 0.047F * static_cast<float>(t - arrival);
          const float wave = strength * (1.0F - 2.0F * u * u) * std::exp(-u * u);
          gathers[(shot * 1000 + static_cast<std::size_t>(t)) * 70 + receiver] += wave;
        }
      }
    }
  }
}

inline Status make_toy_data(const std::filesystem::path& folder, std::size_t count,
                            std::uint64_t seed) {
  std::vector<float> maps(count * data::grid::map_size);
  std::vector<float> gathers(count * data::grid::gather_size);
  for (std::size_t i = 0; i < count; ++i) {
    const std::span map(maps.data() + i * data::grid::map_size, data::grid::map_size);
    data::make_velocity_map(data::Family::curvefault_a, seed, i, map);
    toy_gathers(map, {gathers.data() + i * data::grid::gather_size, data::grid::gather_size});
  }
  std::filesystem::create_directories(folder);
  OUTCROP_CHECK(data::write_npy(folder / "model1.npy", {count, 1, 70, 70}, maps));
  return data::write_npy(folder / "data1.npy", {count, 5, 1000, 70}, gathers);
}

// Lets such a folder say that `outcrop synth` made it: its maps are those that it would have.
inline Status say_that_synth_made_it(const std::filesystem::path& folder, std::size_t count, std::uint64_t seed) {
  return write_file_durably(folder / "dataset.json", R"({"source": {"family": "curvefault-a"}, "seed": )" +
                                                         std::to_string(seed) + R"(, "samples": )" +
                                                         std::to_string(count) + "}");
}

}  // namespace outcrop::earth
