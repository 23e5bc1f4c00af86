#pragma once

#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/train/average.hpp"
#include "trainer_host/trainer/train/checkpoint.hpp"
#include "trainer_host/trainer/train/config.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {

// Where a run begins, and in words.
struct Beginning {
  Progress progress;
  std::string from;  // "begins a new run", "goes on after epoch 3 (stage 1), from run/checkpoint"
};

// Whether the output folder has room for what these options begin; asked before the data are read,
// which may take long. already_exists where another training's work stands there.
[[nodiscard]] Status check_room(const TrainConfig& config, const TrainOptions& options);

// Brings task, optimizer and average to where these options begin: at a checkpoint, at given weights, or at
// the random ones that they have. Changes nothing on disk. Errors of load_checkpoint() and of
// output_folder.hpp; invalid_argument where given weights are of another network.
[[nodiscard]] Result<Beginning> find_beginning(const TrainConfig& config,
                                               const TrainOptions& options,
                                               const RunIdentity& identity,
                                               kinds::Task& task, const OptimizerOf& optimizer_of,
                                               Average& average);

}  // namespace outcrop::train
