#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/exported.hpp"

namespace outcrop::quantize {

// The answers to the golden calls, a list of outputs for each. `diverged` names a call and an output
// that is not finite, invalid_data one that is not as the signature says.
[[nodiscard]] Result<std::vector<std::vector<torch::Tensor>>> answer_goldens(
    models::LiteModel& model, const kinds::Export& exported);

// One of them, unchecked.
[[nodiscard]] Result<std::vector<torch::Tensor>> answer(models::LiteModel& model,
                                                        const kinds::ExampleCall& call);

// Writes golden_input and golden_output into `folder`, and says in `stage` where they are and which
// calls they hold: a tensor is named after its argument or output and the number of its call,
// "map_1".
[[nodiscard]] Status write_goldens(const kinds::Export& exported,
                                   const std::vector<std::vector<torch::Tensor>>& answers,
                                   const std::filesystem::path& folder, ExportedStage& stage);

}  // namespace outcrop::quantize
