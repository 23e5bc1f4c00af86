#pragma once

namespace outcrop::train {

// One cycle a stage (Smith and Topin 2019): a linear rise from a tenth of `peak` over the first
// sixth, then half a cosine down to a hundredth of it. `progress` in [0, 1) is the share of the
// stage that is done; nothing else decides the rate, so a resumed run has the same one.
[[nodiscard]] double learning_rate(double peak, double progress);

}  // namespace outcrop::train
