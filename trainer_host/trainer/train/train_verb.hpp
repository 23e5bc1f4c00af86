#pragma once

#include <functional>
#include <memory>

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/training_for_int8.hpp"
#include "trainer_host/trainer/train/stage_end.hpp"

namespace outcrop::train {

// Makes what runs at the end of each stage of this configuration. Called once, before training.
using MakeStageEnd =
    std::function<Result<StageEnd>(const TrainConfig& config, const StageEndOptions& options)>;

// Makes what trains for int8, of one run.
using MakeForInt8 = std::function<std::shared_ptr<kinds::TrainingForInt8>()>;

// The verb `train`. Neither `make_stage_end` nor `make_for_int8` may be empty; `kinds` must outlive the program's work. main,
// which knows both, wraps it in an AddVerb.
void add_train(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds,
               MakeStageEnd make_stage_end, MakeForInt8 make_for_int8);

}  // namespace outcrop::train
