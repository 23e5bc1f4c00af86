#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::bench {

// How what one machine computed differs from what another did, for all tensors of one name.
struct Difference {
  std::string name;
  std::size_t tensors = 0;
  std::size_t values = 0;
  std::size_t differing = 0;
  double largest = 0.0;   // in the tensors' own unit: quantization steps, m/s
  double relative = 0.0;  // of the largest value of its tensor
};

// `here` and `there` are tensors of two runs of the same model, in the same order and by the same
// names. A name that begins with a number and a blank ("17 quantized::conv2d") is counted without
// them. invalid_data where the two are not runs of the same model.
[[nodiscard]] Result<std::vector<Difference>> differences(std::span<const runtime::Tensor> here,
                                                          std::span<const runtime::Tensor> there);

}  // namespace outcrop::bench
