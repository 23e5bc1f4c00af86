#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::user_module {

// A TorchScript module that a user brings (torch.jit.script or torch.jit.trace in Python). Loading one is
// running what others wrote: only in a process that has given up everything else (runtime/runner/
// folder_jail.hpp).
struct ForeignModule {
  torch::jit::Module module;
  std::vector<std::string> arguments;  // of forward, all tensors; those with a default are left at it
  std::vector<std::string> outputs;    // "output", or "output_1", … of a tuple
};

// invalid_data where it is no TorchScript; unsupported, with what would be right, where forward takes
// or gives something else than tensors, or a parameter or buffer is neither float32 nor int64.
[[nodiscard]] Result<ForeignModule> load_foreign(BytesView file, const std::string& name);

// The first of its modules that is in training mode: "block.drop"; "" for the whole, nothing where all
// are in evaluation mode.
[[nodiscard]] std::optional<std::string> in_training_mode(const torch::jit::Module& module);

// The module as a file without the values of its parameters and buffers: what they are put into when
// weights are read. The same module gives the same bytes.
[[nodiscard]] std::string without_values(const torch::jit::Module& module);
// Of such a file, with memory for the values, which are zero.
[[nodiscard]] Result<ForeignModule> with_room_for_values(BytesView file);

// What it answers to some rows. unsupported where it changes its inputs, answers other than a tensor of
// as many rows for each output, or not the same twice; diverged, with the output, where that is not
// finite; invalid_data where it raises.
[[nodiscard]] Result<std::vector<torch::Tensor>> answer_checked(
    ForeignModule& foreign, const std::vector<torch::Tensor>& inputs);

// The same, unchecked, as it is trained. Throws c10::Error.
[[nodiscard]] std::vector<torch::Tensor> answer(torch::jit::Module& module,
                                                const std::vector<torch::Tensor>& inputs);

}  // namespace outcrop::user_module
