#pragma once

#include <torch/script.h>

namespace outcrop::quantize {

// Cross-layer equalization (M. Nagel et al., "Data-free quantization through weight equalization and bias
// correction", ICCV 2019): where a layer's channels go into the next layer one by one, through functions with
// f(s·x) = s·f(x) for s > 0, a channel may be divided by s in the one and multiplied in the other. s is
// chosen so that both layers' weights span as much of the channel, and codes are spent evenly.
//
// Changes weights and biases of `network` (batch norms folded), which answers as before, up to rounding.
// Pairs of convolutions, transposed convolutions and linear layers behind each other, through ReLU, leaky
// ReLU, pooling, nearest upsampling, or nothing; of layers with groups, depthwise ones. Answers how many pairs there are.
std::size_t equalize(torch::jit::Module& network);

}  // namespace outcrop::quantize
