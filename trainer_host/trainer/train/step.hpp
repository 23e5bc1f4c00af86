#pragma once

#include <optional>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::train {

// The optimizer for what a phase trains.
[[nodiscard]] Adam make_optimizer(const kinds::Phase& phase, const LoopConfig& config);

// One optimizer step over some samples; answers the parts of the loss. `diverged` names the place of
// the first number that is not finite; the weights are then unchanged.
[[nodiscard]] Result<std::vector<std::optional<double>>> train_step(kinds::Task& task, const kinds::Phase& phase,
                                                                    Adam& optimizer,
                                                                    std::span<const kinds::Draw> draws,
                                                                    const LoopConfig& config,
                                                                    double learning_rate);

}  // namespace outcrop::train
