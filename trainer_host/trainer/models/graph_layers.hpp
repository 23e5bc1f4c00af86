#pragma once

#include <torch/script.h>
#include <torch/csrc/jit/ir/ir.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace outcrop::models {

// A method's graph with all that it calls, and what these call in turn.
[[nodiscard]] std::shared_ptr<torch::jit::Graph> inlined_graph(const torch::jit::Module& module,
                                                               const std::string& method);

// Each node, those of inner blocks before the one that they are in; `visit` may destroy it.
void visit_all(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit);

// One operation with weights of a graph, as a module of its own would make it.
struct GraphLayer {
  std::string type;     // Python's name for the module: "conv.Conv2d"
  std::string path;     // of its weight: "features.0.weight"
  std::vector<std::pair<std::string, torch::Tensor>> tensors;  // its parameters: "weight", "bias"
  std::string source;   // its forward
  std::vector<torch::jit::Value*> arguments;  // of forward
  // Along one axis: run as along two, of which the first has one element.
  bool lifted = false;
  // Its output channels lie along this axis of the weight, in so many groups.
  std::int64_t channel_axis = 0;
  std::int64_t groups = 1;
};

// What an attribute of a network, or of a module in it, holds, and where: "features.0.weight".
struct Attribute {
  std::string path;
  c10::IValue value;
};
// Nothing where `value` is something else. `network` is the module whose graph it is, all calls inlined.
[[nodiscard]] std::optional<Attribute> attribute_of(const torch::jit::Value* value,
                                                    const torch::jit::Module& network);

// The value of a tensor of a graph, and the path of the attribute that has it; a constant has no path.
struct FixedTensor {
  std::string path;
  torch::Tensor value;
};
// Nothing where it is computed.
[[nodiscard]] std::optional<FixedTensor> fixed_tensor(const torch::jit::Value* value,
                                                      const torch::jit::Module& network);
// The same for a list of tensors; the path is the list's, or its first tensor's.
struct FixedTensors {
  std::string path;
  std::vector<torch::Tensor> values;
};
[[nodiscard]] std::optional<FixedTensors> fixed_tensors(const torch::jit::Value* value,
                                                        const torch::jit::Module& network);
// Whether it is given, as an attribute or a constant, as None.
[[nodiscard]] bool is_none(const torch::jit::Value* value, const torch::jit::Module& network);

// Whether a node is an operation that graph_layer() knows: convolutions along one axis and two, and
// transposed ones, linear, embedding, lstm, gru.
[[nodiscard]] bool is_layer(const torch::jit::Node* node);

// Throws c10::Error where weights, strides or sizes are computed.
[[nodiscard]] GraphLayer graph_layer(torch::jit::Node* node, const torch::jit::Module& network);

}  // namespace outcrop::models
