#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace outcrop::quantize {

// Of a convolution; a linear layer has these.
struct LayerNumbers {
  std::vector<std::int64_t> stride{1, 1};
  std::vector<std::int64_t> padding{0, 0};
  std::vector<std::int64_t> output_padding{0, 0};
  std::vector<std::int64_t> dilation{1, 1};
  std::int64_t groups = 1;
};

// A call of a layer with weights in forward's own graph: a child whose forward is one operator over its
// `weight` and `bias`. What corrections work on; layers elsewhere they leave alone.
struct LayerCall {
  std::string name;       // of the child: "mix1"
  std::string operation;  // "conv2d", "conv_transpose2d" or "linear"
  torch::jit::Module module;
  torch::jit::Node* call;        // prim::CallMethod in forward's graph: inputs are the child and x
  torch::jit::Node* layer;       // the operator in the child's graph

  [[nodiscard]] torch::Tensor weight() const;
  // Nothing where the layer has none.
  [[nodiscard]] std::optional<torch::Tensor> bias() const;
  void set_weight(const torch::Tensor& weight);
  // Where the layer has none it gets one; its module's type must be of this module alone.
  void set_bias(const torch::Tensor& bias);

  [[nodiscard]] bool transposed() const { return operation == "conv_transpose2d"; }
  [[nodiscard]] LayerNumbers numbers() const;
  [[nodiscard]] std::int64_t groups() const { return numbers().groups; }
  // Axes of the weight: of channels that come out, and of those that go in (of one group).
  [[nodiscard]] std::int64_t output_axis() const { return transposed() ? 1 : 0; }
  [[nodiscard]] std::int64_t input_axis() const { return transposed() ? 0 : 1; }
  // The operator on `x` with another weight, or another bias.
  [[nodiscard]] torch::Tensor run(const torch::Tensor& x, const torch::Tensor& weight,
                                  const std::optional<torch::Tensor>& bias) const;
};

// Of a module that is such a layer; 1 for any other.
[[nodiscard]] std::int64_t groups_of(const torch::jit::Module& layer);

// A layer like this one, of another weight and bias, as a module in the compilation unit of `network`.
[[nodiscard]] torch::jit::Module make_layer_like(const LayerCall& call, const torch::jit::Module& network,
                                                 const torch::Tensor& weight,
                                                 const std::optional<torch::Tensor>& bias);

// In the order of execution, each child once: one that is called twice is left out, as a change of it for
// one call would change the other.
[[nodiscard]] std::vector<LayerCall> layer_calls(const torch::jit::Module& network);

}  // namespace outcrop::quantize
