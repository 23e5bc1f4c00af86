#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <type_traits>
#include <utility>

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
struct StageEnd {
  // How long training takes from now on, by what its epochs took.
  struct Expected {
    std::chrono::seconds stage{0};  // until the stage at work is trained
    std::chrono::seconds run{0};    // until the last one is; the same where there is no last one
  };

  StageEnd() = default;
  template <class End>
    requires std::is_invocable_r_v<Status, End, const StageContext&>
  StageEnd(End at_end, std::function<Status(const Expected&)> before = {})
      : end(std::move(at_end)), may_take(std::move(before)) {}

  std::function<Status(const StageContext&)> end;
  // Asked before training as soon as it is known what an epoch takes: whether the stage's end can be made so
  // much later. May be left out.
  std::function<Status(const Expected&)> may_take;
};

// What the user allows a stage's end.
struct StageEndOptions {
  bool allow_reduced_confinement = false;  // to run variants where they cannot be confined fully
};

}  // namespace outcrop::train
