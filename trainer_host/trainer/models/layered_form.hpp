#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

namespace outcrop::models {

// A network that others wrote, in the form in which methods of quantization know networks: one forward
// without calls of functions, whose layers with weights (graph_layers.hpp) are its children, each named by
// where its weight was ("features.0.conv" is features_0_conv), and everything else a constant. In
// evaluation mode: batch norms behind convolutions, transposed ones too, are folded, dropout is gone, changes in place are not. A convolution along one axis is one along two. It answers as
// `network` does, up to rounding; arguments with a default are gone, at it.
//
// LibTorch's passes for int8 follow values through one graph, and lose them at every border of a
// module that is no layer: a network of nn.Sequential would stay float.
//
// Of `example`, arguments of forward, ranks alone are used: what asks for the number of axes is decided.
// Throws c10::Error where it cannot be had: a layer whose numbers are not constants, attributes that are
// changed, calls that are not of TorchScript.
[[nodiscard]] torch::jit::Module layered_form(const torch::jit::Module& network,
                                              const std::vector<torch::Tensor>& example = {});

// The first operation that changes a tensor in place, "aten::mul_", in forward with all it calls; "" where there
// is none. Passes of LibTorch (optimizeForMobile, those of static int8) move operations past such changes.
[[nodiscard]] std::string change_in_place(const torch::jit::Module& network);

// Operations of such a form that have tensors of their own and are no layers, each once: "layer_norm".
[[nodiscard]] std::vector<std::string> other_operations(const torch::jit::Module& layered);

}  // namespace outcrop::models
