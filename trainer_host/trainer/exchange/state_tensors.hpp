#pragma once

#include <torch/script.h>

#include <filesystem>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::exchange {

// The tensors of a file of weights or a checkpoint by the names that a state_dict in Python has them by: those of a module that
// a user brought as its own state_dict calls them, those of other kinds behind the name of their part
// ("network.first.weight"). A checkpoint's are averaged ones where it has them; what belongs to training
// (optimizer, ranges of quantization) is left out. Errors are read_model_file's.
[[nodiscard]] Result<models::NamedTensors> state_in_file(const std::filesystem::path& file);

// Those of TorchScript: what torch.jit.load(FILE).state_dict() has in Python. unsupported, by name, for one that is neither
// float32 nor int64, and for a module whose weights are packed for int8.
[[nodiscard]] Result<models::NamedTensors> state_in_module(const torch::jit::Module& module);

// As a safetensors file of PyTorch ("format": "pt"). invalid_argument without any.
[[nodiscard]] Result<Bytes> to_safetensors(const models::NamedTensors& tensors);

}  // namespace outcrop::exchange
