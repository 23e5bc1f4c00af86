#include "trainer_host/trainer/models/graph_layers.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

constexpr std::array<std::string_view, 9> layers{
    "aten::conv1d", "aten::conv2d", "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::_convolution",
    "aten::linear", "aten::embedding", "aten::lstm", "aten::gru"};

bool has_calls(const torch::jit::Block* block) {
  for (const Node* node : block->nodes()) {
    if (node->kind() == torch::jit::prim::CallMethod || node->kind() == torch::jit::prim::CallFunction) return true;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (has_calls(inner)) return true;
    }
  }
  return false;
}

template <typename T>
T constant_of(const Value* value, const char* what) {
  const auto constant = torch::jit::toIValue(value);
  TORCH_CHECK(constant, "a layer's ", what, " is computed");
  return constant->to<T>();
}

// Numbers for each axis of a convolution: one may stand for all.
std::vector<std::int64_t> numbers_of(const Value* value, std::size_t axes, const char* what) {
  std::vector<std::int64_t> numbers;
  if (const auto constant = torch::jit::toIValue(value); constant && constant->isIntList()) {
    numbers = constant->toIntVector();
  } else {
    TORCH_CHECK(value->node()->kind() == torch::jit::prim::ListConstruct, "a layer's ", what, " is computed");
    for (const Value* element : value->node()->inputs()) {
      numbers.push_back(constant_of<std::int64_t>(element, what));
    }
  }
  if (numbers.size() == 1) numbers.resize(axes, numbers.front());
  TORCH_CHECK(numbers.size() == axes, "a layer's ", what, " has ", numbers.size(), " numbers for ", axes, " axes");
  return numbers;
}

// "[1, 3]", with `first` for the axis that a layer along one axis is given.
std::string list_text(std::vector<std::int64_t> numbers, std::int64_t first) {
  if (numbers.size() == 1) numbers.insert(numbers.begin(), first);
  return "[" + std::to_string(numbers[0]) + ", " + std::to_string(numbers[1]) + "]";
}

// Of "same" and "valid".
std::vector<std::int64_t> padding_of(const Value* value, const Tensor& weight,
                                     const std::vector<std::int64_t>& dilation) {
  const auto axes = dilation.size();
  if (value->type()->kind() != c10::TypeKind::StringType) return numbers_of(value, axes, "padding");
  const auto name = constant_of<std::string>(value, "padding");
  std::vector<std::int64_t> padding(axes, 0);
  if (name == "valid") return padding;
  for (std::size_t i = 0; i < axes; ++i) {
    const auto reach = dilation[i] * (weight.size(static_cast<std::int64_t>(i) + 2) - 1);
    TORCH_CHECK(reach % 2 == 0, "a layer's padding \"same\" is more on one side");
    padding[i] = reach / 2;
  }
  return padding;
}

const char* yes_or_no(bool value) {
  return value ? "True" : "False";
}

// What its source calls it.
std::string take_bias(const Node* node, const Module& network, GraphLayer& call) {
  if (const auto own = fixed_tensor(node->input(2), network)) {
    call.tensors.emplace_back("bias", own->value);
    return "self.bias";
  }
  TORCH_CHECK(is_none(node->input(2), network), "a layer's bias is computed");
  return "None";
}

GraphLayer convolution_call(Node* node, const Module& network) {
  const std::string kind = node->kind().toQualString();
  bool transposed = kind.starts_with("aten::conv_transpose");
  std::size_t dilation_at = 5, groups_at = 6, output_padding_at = 5;
  if (kind == "aten::_convolution") {
    transposed = constant_of<bool>(node->input(6), "kind");
    output_padding_at = 7;
    groups_at = 8;
  } else if (transposed) {
    dilation_at = 7;
  }
  const auto weight = fixed_tensor(node->input(1), network);
  TORCH_CHECK(weight, "a layer's weights are computed");
  const Tensor values = weight->value;
  const auto axes = static_cast<std::size_t>(values.dim()) - 2;
  TORCH_CHECK(axes == 1 || axes == 2, "a convolution is along ", axes, " axes");

  GraphLayer call;
  call.path = weight->path;
  call.lifted = axes == 1;
  call.tensors.emplace_back("weight", call.lifted ? values.unsqueeze(-2) : values);
  call.arguments = {node->input(0)};
  call.groups = constant_of<std::int64_t>(node->input(groups_at), "groups");
  call.channel_axis = transposed ? 1 : 0;
  const std::string bias = take_bias(node, network, call);
  const auto stride = numbers_of(node->input(3), axes, "stride");
  const auto dilation = numbers_of(node->input(dilation_at), axes, "dilation");
  const auto padding = padding_of(node->input(4), values, dilation);
  const std::string place = "x, self.weight, " + bias + ", " + list_text(stride, 1) + ", " + list_text(padding, 0);
  if (transposed) {
    call.type = "conv.ConvTranspose2d";
    const auto output_padding = numbers_of(node->input(output_padding_at), axes, "output padding");
    call.source = "torch.conv_transpose2d(" + place + ", " + list_text(output_padding, 0) + ", " +
                  std::to_string(call.groups) + ", " + list_text(dilation, 1) + ")";
  } else {
    call.type = "conv.Conv2d";
    call.source = "torch.conv2d(" + place + ", " + list_text(dilation, 1) + ", " + std::to_string(call.groups) + ")";
  }
  call.source = "def forward(self, x):\n    return " + call.source + "\n";
  return call;
}

GraphLayer linear_call(Node* node, const Module& network) {
  const auto weight = fixed_tensor(node->input(1), network);
  TORCH_CHECK(weight, "a layer's weights are computed");
  GraphLayer call;
  call.type = "linear.Linear";
  call.path = weight->path;
  call.tensors.emplace_back("weight", weight->value);
  call.arguments = {node->input(0)};
  const std::string bias = take_bias(node, network, call);
  call.source = "def forward(self, x):\n    return torch.linear(x, self.weight, " + bias + ")\n";
  return call;
}

GraphLayer embedding_call(Node* node, const Module& network) {
  const auto weight = fixed_tensor(node->input(0), network);
  TORCH_CHECK(weight, "a layer's weights are computed");
  GraphLayer call;
  call.type = "sparse.Embedding";
  call.path = weight->path;
  call.tensors.emplace_back("weight", weight->value);
  call.arguments = {node->input(1)};
  call.source = "def forward(self, x):\n    return torch.embedding(self.weight, x)\n";
  return call;
}

// Parameters in the order of torch.nn's: for each layer and direction, input weights, recurrent ones, and
// biases of both.
GraphLayer recurrent_call(Node* node, const Module& network) {
  const bool is_lstm = node->kind().toQualString() == std::string("aten::lstm");
  const bool biases = constant_of<bool>(node->input(3), "biases");
  const auto deep = constant_of<std::int64_t>(node->input(4), "depth");
  const bool both_ways = constant_of<bool>(node->input(7), "direction");
  const bool batch_first = constant_of<bool>(node->input(8), "order of axes");
  const auto fixed = fixed_tensors(node->input(2), network);
  TORCH_CHECK(fixed, "a layer's weights are computed");
  const auto& given = fixed->values;
  const std::size_t ways = both_ways ? 2 : 1;
  TORCH_CHECK(given.size() == static_cast<std::size_t>(deep) * ways * (biases ? 4 : 2),
              "a recurrent layer has projections");
  GraphLayer call;
  call.type = is_lstm ? "rnn.LSTM" : "rnn.GRU";
  call.path = fixed->path;
  std::string names;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::size_t of_one = biases ? 4 : 2;
    const std::size_t place = i / of_one;
    constexpr std::array<const char*, 4> kinds{"weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l"};
    const std::string name = kinds[i % of_one] + std::to_string(place / ways) + (place % ways == 1 ? "_reverse" : "");
    call.tensors.emplace_back(name, given[i]);
    names += (names.empty() ? "self." : ", self.") + name;
  }
  call.arguments = {node->input(0), node->input(1)};
  const std::string rest = ", state, [" + names + "], " + yes_or_no(biases) + ", " + std::to_string(deep) +
                           ", 0.0, False, " + yes_or_no(both_ways) + ", " + yes_or_no(batch_first) + ")\n";
  call.source = is_lstm ? "def forward(self, x, state: List[Tensor]):\n    return torch.lstm(x" + rest
                        : "def forward(self, x, state):\n    return torch.gru(x" + rest;
  return call;
}

}  // namespace

std::shared_ptr<torch::jit::Graph> inlined_graph(const Module& module, const std::string& method) {
  auto graph = module.get_method(method).graph()->copy();
  // LibTorch takes over the body of a called function as it was last compiled, which may have calls of its own.
  constexpr int deepest = 64;
  for (int depth = 0; depth < deepest && has_calls(graph->block()); ++depth) torch::jit::Inline(*graph);
  return graph;
}

void visit_all(torch::jit::Block* block, const std::function<void(Node*)>& visit) {
  for (auto node = block->nodes().begin(); node != block->nodes().end();) {
    Node* current = *node++;  // the visitor may destroy it
    for (torch::jit::Block* inner : current->blocks()) visit_all(inner, visit);
    visit(current);
  }
}

std::optional<Attribute> attribute_of(const Value* value, const Module& network) {
  std::vector<std::string> names;
  const Node* node = value->node();
  while (node->kind() == torch::jit::prim::GetAttr) {
    names.insert(names.begin(), node->s(torch::jit::attr::name));
    node = node->input()->node();
  }
  if (names.empty() || node->kind() != torch::jit::prim::Param) return std::nullopt;
  Attribute attribute{"", network._ivalue()};
  for (const std::string& name : names) {
    attribute.path += (attribute.path.empty() ? "" : ".") + name;
    attribute.value = attribute.value.toObject()->getAttr(name);
  }
  return attribute;
}

std::optional<FixedTensor> fixed_tensor(const Value* value, const Module& network) {
  if (const auto constant = torch::jit::toIValue(value)) {
    if (!constant->isTensor()) return std::nullopt;
    return FixedTensor{"", constant->toTensor().detach()};
  }
  const auto attribute = attribute_of(value, network);
  if (!attribute || !attribute->value.isTensor()) return std::nullopt;
  return FixedTensor{attribute->path, attribute->value.toTensor().detach()};
}

std::optional<FixedTensors> fixed_tensors(const Value* value, const Module& network) {
  FixedTensors fixed;
  if (value->node()->kind() == torch::jit::prim::ListConstruct) {
    for (const Value* element : value->node()->inputs()) {
      const auto one = fixed_tensor(element, network);
      if (!one) return std::nullopt;
      if (fixed.path.empty()) fixed.path = one->path;
      fixed.values.push_back(one->value);
    }
    return fixed;
  }
  c10::IValue held;
  if (const auto constant = torch::jit::toIValue(value)) {
    held = *constant;
  } else if (const auto attribute = attribute_of(value, network)) {
    held = attribute->value;
    fixed.path = attribute->path;
  }
  if (!held.isTensorList()) return std::nullopt;
  for (const Tensor& tensor : held.toTensorVector()) fixed.values.push_back(tensor.detach());
  return fixed;
}

bool is_none(const Value* value, const Module& network) {
  if (value->mustBeNone()) return true;
  const auto attribute = attribute_of(value, network);
  return attribute && attribute->value.isNone();
}

bool is_layer(const Node* node) {
  const std::string_view kind = node->kind().toQualString();
  if (std::find(layers.begin(), layers.end(), kind) == layers.end()) return false;
  // lstm and gru of packed sequences have other arguments.
  if (kind != "aten::lstm" && kind != "aten::gru") return true;
  return node->inputs().size() == 9 && node->input(4)->type()->kind() == c10::TypeKind::IntType;
}

GraphLayer graph_layer(Node* node, const Module& network) {
  const std::string_view kind = node->kind().toQualString();
  if (kind == "aten::linear") return linear_call(node, network);
  if (kind == "aten::embedding") return embedding_call(node, network);
  if (kind == "aten::lstm" || kind == "aten::gru") return recurrent_call(node, network);
  return convolution_call(node, network);
}

}  // namespace outcrop::models
