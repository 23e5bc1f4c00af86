#pragma once

#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::runtime {

// What a model file would execute, found without executing it.
struct Inspection {
  std::vector<std::string> operators;  // sorted, each once: "quantized::conv2d.new"
  int bytecode_version = 0;
  // Weights as stored, twice: as read and as packed for the kernels. Activations come on top
  // and are known only by measuring.
  ByteCount memory_estimate;
};

// Fails with refused and the names of all operators that are not in `allowed` (in any order).
[[nodiscard]] Status check_operators(const Inspection& inspection,
                                     std::span<const std::string> allowed);

}  // namespace outcrop::runtime
