#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

namespace outcrop::analyze {

// What has weights and multiplies by them, of any engine: "conv2d" for aten::conv2d, for
// quantized::conv2d_relu and for prepacked::conv2d_clamp_run; "linear", "conv_transpose2d", "lstm",
// "embedding", …; "" for all other operators.
[[nodiscard]] std::string layer_operation(const quantize::TracedCall& call);
// Whether an operator works on codes: those of the namespace quantized, but for borders.
[[nodiscard]] bool works_on_codes(const quantize::TracedCall& call);
[[nodiscard]] bool is_border(const std::string& operator_name);

// What OperatorTrace must keep values of, so that layers can be compared.
[[nodiscard]] bool is_compared(const std::string& operator_name);

// A layer's weight, float32, dequantized; undefined where it cannot be had.
[[nodiscard]] torch::Tensor weight_of(const quantize::TracedCall& call);
[[nodiscard]] torch::Tensor bias_of(const quantize::TracedCall& call);

// A layer in the float run and the one in the quantized run.
struct LayerPair {
  std::size_t before = 0;        // which call of the float run
  std::size_t after = 0;         // of the quantized run
  std::size_t compared = 0;      // the float call whose values stand for the layer: its own, or a later one
  bool clamped = false;          // the values of `compared` at least 0 (a relu that is part of the layer)
  std::string compared_after;    // what follows the layer in float and is part of it after: "batch_norm, relu"
  std::string operation;
};

// Pairs layers by their order in the two runs. unsupported where there are not as many, or one is another
// operation: with how many there are of each, and where they part.
[[nodiscard]] Result<std::vector<LayerPair>> match_layers(const std::vector<quantize::TracedCall>& before,
                                                          const std::vector<quantize::TracedCall>& after);

}  // namespace outcrop::analyze
