#pragma once

#include <memory>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// int8 weights, and activations whose range is looked at in each call: nothing is calibrated. Linear layers,
// LSTM and GRU (weights per row), embeddings (8 bits a row), and convolutions as a linear layer of unfolded
// patches: LibTorch's own dynamic convolution is wrong in both kernel sets (27 to 44 % off).
// A layer's format is "int8" or "float".
[[nodiscard]] std::shared_ptr<const Method> make_dynamic_int8();

}  // namespace outcrop::quantize
