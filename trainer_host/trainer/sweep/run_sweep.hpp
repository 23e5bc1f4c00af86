#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/sweep/sweep_config.hpp"

namespace outcrop::sweep {

// Looks at what a sweep needs before any trial: that each key is one of the training's configuration, takes each of its values, and
// decides something of what is trained; that data and network of the first trial are good; that the goal is one of its columns;
// that the disk takes all trials. Changes nothing. Answers the goal.
[[nodiscard]] Result<std::string> check_sweep(const Sweep& sweep, const kinds::Register& kinds);

// Trains all trials, each in a folder and by a process of its own, and leaves in the sweep's folder
//   sweep.json      which sweep this is
//   trial-001/…     runs as `outcrop train --weights-only` leaves them
//   sweep.csv       the trials, the best first; sweep.png, parallel coordinates; both anew after each trial
//   best.toml       what the best one has otherwise than the training's configuration: a drop-in of it
// Killed and started again it goes on. A trial that fails is named in the table, and the others go on. Fails where all failed;
// at once where something is wrong before any work, or the folder holds another sweep; with `interrupted` after a stop signal.
[[nodiscard]] Status run_sweep(const Sweep& sweep, const kinds::Register& kinds);

}  // namespace outcrop::sweep
