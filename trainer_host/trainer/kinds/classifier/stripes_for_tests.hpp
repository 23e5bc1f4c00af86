#pragma once

#include <filesystem>
#include <string>

#include "trainer_host/trainer/data/counter_random.hpp"
#include "trainer_host/trainer/data/idx_for_tests.hpp"

namespace outcrop::classifier {

// Images for tests, of three classes: stripes across, stripes down, and squares; where they begin and how
// bright they are is random, and there is noise. As IDX files, `part` "train" or "t10k".
inline Status write_stripes(const std::filesystem::path& folder, const std::string& part,
                            std::size_t count, std::uint64_t seed) {
  constexpr std::uint32_t side = 12;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  for (std::size_t i = 0; i < count; ++i) {
    data::CounterRandom random(seed, i);
    const auto kind = static_cast<std::uint8_t>(i % 3);
    const std::uint64_t down = random.below(4);
    const std::uint64_t right = random.below(4);
    const std::uint64_t bright = 120 + random.below(100);
    labels.push_back(kind);
    for (std::uint64_t row = 0; row < side; ++row) {
      for (std::uint64_t column = 0; column < side; ++column) {
        const bool across = (row + down) / 2 % 2 == 0;
        const bool upright = (column + right) / 2 % 2 == 0;
        const bool lit = kind == 0 ? across : kind == 1 ? upright : across != upright;
        pixels.push_back(static_cast<std::uint8_t>((lit ? bright : 10) + random.below(30)));
      }
    }
  }
  return data::write_idx_images(folder, part, side, pixels, labels);
}

}  // namespace outcrop::classifier
