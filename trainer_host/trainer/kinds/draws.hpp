#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::kinds {

// All samples of an epoch in their order: a permutation that depends on (seed, epoch, count)
// alone, so that an epoch can be repeated without the ones before it. Half of them mirrored where
// `mirror`.
[[nodiscard]] std::vector<Draw> draw_epoch(std::uint64_t seed, std::int64_t epoch,
                                           std::size_t count, bool mirror);

// The part of an epoch that batch `index` of `batches` takes: sizes differ by at most one.
[[nodiscard]] std::span<const Draw> batch_of(std::span<const Draw> epoch, std::size_t index,
                                             std::size_t batches);

}  // namespace outcrop::kinds
