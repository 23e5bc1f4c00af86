#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::train {

// What a run would cost, by some of its batches.
struct Rehearsal {
  struct Stage {
    std::int64_t stage = 0;
    std::string phase;          // "whole"
    std::int64_t trained = 0;   // parameters
    bool for_int8 = false;
    double peak_rate = 0;       // learning rate
  };
  std::vector<Stage> stages;
  std::vector<std::pair<std::string, std::int64_t>> parts;  // parameters of each network
  std::size_t batches = 0;                                  // an epoch
  std::chrono::duration<double> batch{0};                   // on this machine, as busy as it is now
  std::chrono::duration<double> scoring{0};                 // of held-out samples, once an epoch
  ByteCount memory;   // the most that this process has had
  ByteCount on_disk;  // of a stage with its release, about

  [[nodiscard]] std::int64_t parameters() const;
};

// Trains a few batches in memory and writes nothing. `stages` from the first, at least one; a stage for int8 is taken for as
// long as one in float. Sets the process's threads. Errors of opening data and of a step.
[[nodiscard]] Result<Rehearsal> rehearse(const TrainConfig& config, std::int64_t stages);

// The same for people.
[[nodiscard]] std::string rehearsal_text(const Rehearsal& rehearsal, const LoopConfig& loop);

}  // namespace outcrop::train
