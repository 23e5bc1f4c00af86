#pragma once

#include <torch/torch.h>

#include <string>

#include "runtime/engine/tensor.hpp"

namespace outcrop::models {

// LibTorch's tensors as those that belong to no engine, and back; both copy. float32 or int64.
[[nodiscard]] runtime::Tensor plain_tensor(const std::string& name, const torch::Tensor& tensor);
[[nodiscard]] torch::Tensor torch_tensor(const runtime::Tensor& tensor);

}  // namespace outcrop::models
