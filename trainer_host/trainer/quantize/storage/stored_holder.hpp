#pragma once

#include <torch/script.h>

#include "trainer_host/trainer/quantize/storage/stored_tensor.hpp"

namespace outcrop::quantize {

// What stands in a layer in a parameter's place: a module that keeps `parts` and `numbers`, and holds what they
// were expanded to. Its __getstate__ gives the first, its __setstate__ makes the second of them. All of a form are of one
// class, so that a file has its program once, and not once a layer (8 kB in a .ptl).
//
// `keeps_codes`: whether what is loaded keeps its parts and can be saved again.

// `values` is a float32 parameter.
[[nodiscard]] torch::jit::Module values_holder(const StoredTensor& tensor);

// `packed` is a linear layer's weight [out, in], in int8 with a scale for each row, and its bias (a tensor or None), for
// quantized::linear_dynamic. Needs an engine, now and where it is loaded.
[[nodiscard]] torch::jit::Module packed_holder(const StoredTensor& tensor, const c10::IValue& bias);

}  // namespace outcrop::quantize
