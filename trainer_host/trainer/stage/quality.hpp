#pragma once

#include <cstddef>
#include <filesystem>

#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/trainer/train/stage_end.hpp"

namespace outcrop::stage {

// Of as many at most, evenly chosen, so that a stage's end does not take longer with larger data.
inline constexpr std::size_t most_judged = 64;      // reconstructed samples
inline constexpr std::size_t most_averaged = 4096;  // training samples, for their mean
inline constexpr std::size_t drawn_samples = 16;    // forward's seeds 1, 2, …

// How good the stage's float variant (`file`, run as boards run it) is: what it makes of held-out
// samples (of training samples where none are held out) beside the mean of the training data and a
// constant 3000 m/s with silence, and how far what it draws lies from that mean. The same model and
// data give the same figures. `diverged` where one is not a finite number.
[[nodiscard]] Result<messages::Quality> measure_quality(const train::StageContext& context,
                                                        const std::filesystem::path& file);

}  // namespace outcrop::stage
