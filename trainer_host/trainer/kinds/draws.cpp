#include "trainer_host/trainer/kinds/draws.hpp"

#include <utility>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::kinds {

std::vector<Draw> draw_epoch(std::uint64_t seed, std::int64_t epoch, std::size_t count,
                             bool mirror) {
  data::CounterRandom random(seed, static_cast<std::uint64_t>(epoch));
  std::vector<Draw> draws(count);
  for (std::size_t i = 0; i < count; ++i) {
    draws[i] = {.sample = i, .mirrored = mirror && random.below(2) == 1};
  }
  // Fisher-Yates.
  for (std::size_t i = count; i > 1; --i) std::swap(draws[i - 1], draws[random.below(i)]);
  return draws;
}

std::span<const Draw> batch_of(std::span<const Draw> epoch, std::size_t index,
                               std::size_t batches) {
  const std::size_t begin = epoch.size() * index / batches;
  const std::size_t end = epoch.size() * (index + 1) / batches;
  return epoch.subspan(begin, end - begin);
}

}  // namespace outcrop::kinds
