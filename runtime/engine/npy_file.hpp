#pragma once

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// One tensor as a NumPy file (.npy), which says no name.

[[nodiscard]] bool is_npy(BytesView bytes);

// float32 and int64 in C order; float64, int32 and uint8 are converted. invalid_data says what was found
// and what would be right.
[[nodiscard]] Result<Tensor> decode_npy(BytesView bytes);
[[nodiscard]] Bytes encode_npy(const Tensor& tensor);

}  // namespace outcrop::runtime
