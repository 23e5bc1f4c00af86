#pragma once

#include <torch/script.h>

#include <vector>

#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::models {

// Parameters, then buffers, of a module and of those in it, by name: the tensors themselves.
[[nodiscard]] inline NamedTensors tensors_of(const torch::jit::Module& module) {
  NamedTensors tensors;
  for (const auto& one : module.named_parameters()) tensors.emplace_back(one.name, one.value);
  for (const auto& one : module.named_buffers()) tensors.emplace_back(one.name, one.value);
  return tensors;
}

// Of an answer that is a tensor or a tuple of them. Throws c10::Error for any other.
[[nodiscard]] inline std::vector<torch::Tensor> tensors_in(const c10::IValue& answer) {
  if (answer.isTensor()) return {answer.toTensor()};
  std::vector<torch::Tensor> tensors;
  for (const auto& element : answer.toTupleRef().elements()) tensors.push_back(element.toTensor());
  return tensors;
}

}  // namespace outcrop::models
