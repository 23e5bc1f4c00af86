#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

namespace outcrop::models {

// A network that others wrote, in the form in which methods of quantization know networks: one forward
// without calls of functions, whose conv2d, conv_transpose2d and linear are its children, each named by
// where its weight was ("features.0.conv" is features_0_conv), and everything else a constant. In
// evaluation mode: batch norms behind convolutions are folded, dropout is gone, changes in place are
// not. It answers as `network` does, up to rounding; arguments with a default are gone, at it.
//
// LibTorch's passes for int8 follow values through one graph, and lose them at every border of a
// module that is no layer: a network of nn.Sequential would stay float.
//
// Throws c10::Error where it cannot be had: a layer whose numbers are not constants, attributes that are
// changed, calls that are not of TorchScript.
[[nodiscard]] torch::jit::Module layered_form(const torch::jit::Module& network);

// Operations of such a form that have tensors of their own and are no layers, each once: "layer_norm".
[[nodiscard]] std::vector<std::string> other_operations(const torch::jit::Module& layered);

}  // namespace outcrop::models
