#pragma once

#include "runtime/engine/backend.hpp"

namespace outcrop::runtime {

// Tests the quantized operators of LibTorch's current engine (at::globalContext().setQEngine)
// against float on small fixed inputs, each called twice, with quint8 and qint8 activations,
// per tensor and, where models use it, per channel. Builds of LibTorch exist whose kernels are
// wrong in silence (ONEDNN's transposed convolution in 2.6, its saturation on CPUs without
// VNNI), so what a library offers is believed only after this.
//
// Wrong is: off by more than 2 % of the largest value (int8 itself costs about 0.5 %), or
// different at the second call. An exception means unsupported: it cannot happen in silence.
[[nodiscard]] Backend test_quantized_operators(std::string backend_name);

}  // namespace outcrop::runtime
