#pragma once

#include <cstdint>

namespace outcrop::train {

// Epochs count from 1; stage N holds epochs (N-1)·length+1 … N·length.
[[nodiscard]] std::int64_t stage_of(std::int64_t epoch, std::int64_t stage_epochs);
// 0 for the first epoch of a stage.
[[nodiscard]] std::int64_t epoch_in_stage(std::int64_t epoch, std::int64_t stage_epochs);
[[nodiscard]] bool ends_stage(std::int64_t epoch, std::int64_t stage_epochs);

// One cycle a stage (Smith and Topin 2019): a linear rise from a tenth of `peak` over the first
// sixth, then half a cosine down to a hundredth of it. `progress` in [0, 1) is the share of the
// stage that is done; nothing else decides the rate, so a resumed run has the same one.
[[nodiscard]] double learning_rate(double peak, double progress);

}  // namespace outcrop::train
