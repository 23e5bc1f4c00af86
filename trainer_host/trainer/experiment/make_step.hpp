#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/experiment/step_record.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::experiment {

// The training's configuration as a step has it: its variants, its folder, a release where the step is to make one, and,
// where it is trained for int8, the keys for that.
[[nodiscard]] Result<train::TrainConfig> config_of_step(const Experiment& experiment, const Step& step,
                                                        const ResultPaths& paths, const kinds::Register& kinds);
// Those keys, as `outcrop train --set` takes them.
[[nodiscard]] std::vector<std::string> settings_of_step(const Experiment& experiment, const Step& step);

// The weights that a step is made of: its own, where it trains, or the baseline's.
[[nodiscard]] std::filesystem::path weights_of_step(const Experiment& experiment, const Step& step, const ResultPaths& paths,
                                                    const std::string& model);

// Everything of a step but training: its variants by a stage's end (measured, and released where it is to be), how good each is
// on held-out samples, and figures and pictures of them in its folder. What an earlier call left is taken up.
[[nodiscard]] Status make_step(const Experiment& experiment, const Step& step, const ResultPaths& paths,
                               const kinds::Register& kinds, bool allow_reduced);

// Looks at all that the steps need before any of them: that the data are good, that the network can be trained for int8 where
// it is to be, that each method can make its variants of it, that the disk takes all of it. Changes nothing. Errors name the step.
[[nodiscard]] Status check_steps(const Experiment& experiment, const std::vector<const Step*>& steps, const ResultPaths& paths,
                                 const kinds::Register& kinds, bool allow_reduced);

}  // namespace outcrop::experiment
