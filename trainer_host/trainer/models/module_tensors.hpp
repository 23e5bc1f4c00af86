#pragma once

#include <torch/script.h>

#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::models {

// Parameters, then buffers, of a module and of those in it, by name: the tensors themselves.
[[nodiscard]] inline NamedTensors tensors_of(const torch::jit::Module& module) {
  NamedTensors tensors;
  for (const auto& one : module.named_parameters()) tensors.emplace_back(one.name, one.value);
  for (const auto& one : module.named_buffers()) tensors.emplace_back(one.name, one.value);
  return tensors;
}

}  // namespace outcrop::models
