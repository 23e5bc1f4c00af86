#pragma once

#include <functional>

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/train/stage_end.hpp"

namespace outcrop::train {

// Makes what runs at the end of each stage of this configuration. Called once, before training.
using MakeStageEnd =
    std::function<Result<StageEnd>(const TrainConfig& config, const StageEndOptions& options)>;

// The verb `train`. `make_stage_end` must not be empty; `kinds` must outlive the program's work. main,
// which knows both, wraps it in an AddVerb.
void add_train(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds,
               MakeStageEnd make_stage_end);

}  // namespace outcrop::train
