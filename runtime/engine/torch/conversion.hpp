#pragma once

#include <vector>

#include <ATen/core/ivalue.h>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// Copies; throws what LibTorch throws when memory is short.
[[nodiscard]] Result<c10::IValue> to_ivalue(const Value& value);

// A tensor, or a tuple or list of tensors, as dense float32 or int64; invalid_data for anything
// else. Throws what LibTorch throws.
[[nodiscard]] Result<std::vector<Tensor>> from_ivalue(const c10::IValue& value);

}  // namespace outcrop::runtime
