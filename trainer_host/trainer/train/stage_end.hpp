#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/train/config.hpp"
#include "trainer_host/trainer/train/history.hpp"
#include "trainer_host/trainer/train/lineage.hpp"

namespace outcrop::train {

// What a stage has come to.
struct StageContext {
  const TrainConfig& config;
  // In evaluation mode, fitted, with averaged weights where training averages them; its tensors are not
  // to be changed.
  kinds::Task& task;
  const History& history;
  Lineage lineage;                // until this stage's last epoch
  std::filesystem::path weights;  // <model>_stage<N>.weights, already written
  std::int64_t stage = 0;
  std::int64_t epoch = 0;
  std::chrono::duration<double> trained{0};  // wall-clock time of all epochs so far
};

// What happens at the end of each stage, before training goes on: quantize, measure, release.
// After a kill in its middle it is called again for the same stage with the same weights, so it
// must take up or replace what an earlier call left. An error stops training; the next start
// calls it again. May change LibTorch's threads; training sets its own anew. Where a signal asks to
// stop, the process ends in its middle two seconds later.
using StageEnd = std::function<Status(const StageContext&)>;

// What the user allows a stage's end.
struct StageEndOptions {
  bool allow_reduced_confinement = false;  // to run variants where they cannot be confined fully
};

}  // namespace outcrop::train
