#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::models {

// An exported model that answers calls, wherever it runs. One thread at a time.
class CallableModel {
 public:
  virtual ~CallableModel() = default;
  // Arguments are tensors (float32 or int64), integers, numbers and booleans. The tensors of the
  // method's tuple, or its one tensor, contiguous. invalid_data where the model raises.
  [[nodiscard]] virtual Result<std::vector<torch::Tensor>> call(
      const std::string& method, std::vector<c10::IValue> arguments) = 0;
};

}  // namespace outcrop::models
