#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

#include <torch/csrc/jit/ir/constants.h>

#include <map>

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using torch::jit::Node;

// The one operator of a layer's forward; null where it is no such layer.
Node* operator_of(const Module& child) {
  const auto forward = child.find_method("forward");
  if (!forward || !child.hasattr("weight") || !child.attr("weight").isTensor()) return nullptr;
  Node* found = nullptr;
  for (Node* node : forward->graph()->nodes()) {
    const auto kind = node->kind();
    if (!kind.is_aten()) {
      if (kind == torch::jit::prim::CallMethod || !node->blocks().empty()) return nullptr;
      continue;
    }
    const std::string name = kind.toUnqualString();
    if (found != nullptr || (name != "conv2d" && name != "conv_transpose2d" && name != "linear")) return nullptr;
    found = node;
  }
  if (found == nullptr || found->input(0) != forward->graph()->inputs().at(1)) return nullptr;
  const Node* weight = found->input(1)->node();
  return weight->kind() == torch::jit::prim::GetAttr && weight->s(torch::jit::attr::name) == "weight" ? found
                                                                                                      : nullptr;
}

std::string bias_name(const LayerCall& call) {
  const Node* bias = call.layer->input(2)->node();
  return bias->kind() == torch::jit::prim::GetAttr ? bias->s(torch::jit::attr::name) : std::string();
}

std::vector<std::int64_t> constant_integers(const torch::jit::Value* value) {
  if (const auto constant = torch::jit::toIValue(value)) {
    return constant->isInt() ? std::vector{constant->toInt()} : constant->toIntVector();
  }
  std::vector<std::int64_t> numbers;
  for (const auto* element : value->node()->inputs()) {
    const auto one = torch::jit::toIValue(element);
    TORCH_CHECK(one, "a layer's numbers are computed");
    numbers.push_back(one->toInt());
  }
  return numbers;
}

std::string list_source(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += (text.empty() ? "[" : ", ") + std::to_string(number);
  return text + "]";
}

}  // namespace

torch::Tensor LayerCall::weight() const {
  return module.attr("weight").toTensor().detach();
}

std::optional<torch::Tensor> LayerCall::bias() const {
  const std::string name = bias_name(*this);
  if (name.empty() || !module.attr(name).isTensor()) return std::nullopt;
  return module.attr(name).toTensor().detach();
}

void LayerCall::set_weight(const torch::Tensor& weight) {
  module.setattr("weight", weight.contiguous());
}

void LayerCall::set_bias(const torch::Tensor& bias) {
  if (this->bias()) {
    module.setattr(bias_name(*this), bias);
    return;
  }
  const std::string name = module.hasattr("bias") ? "folded_bias" : "bias";
  module.register_parameter(name, bias, /*is_buffer=*/false);
  auto* graph = layer->owningGraph();
  const torch::jit::WithInsertPoint before(layer);
  layer->replaceInput(2, graph->insertGetAttr(graph->inputs().at(0), name));
}

LayerNumbers LayerCall::numbers() const {
  LayerNumbers numbers;
  if (operation == "linear") return numbers;
  numbers.stride = constant_integers(layer->input(3));
  numbers.padding = constant_integers(layer->input(4));
  numbers.dilation = constant_integers(layer->input(transposed() ? 7 : 5));
  if (transposed()) numbers.output_padding = constant_integers(layer->input(5));
  numbers.groups = constant_integers(layer->input(6)).front();
  return numbers;
}

torch::Tensor LayerCall::run(const torch::Tensor& x, const torch::Tensor& weight,
                             const std::optional<torch::Tensor>& bias) const {
  c10::optional<torch::Tensor> added;  // which is std::optional in later versions only
  if (bias) added = *bias;
  if (operation == "linear") return at::linear(x, weight, added);
  const LayerNumbers n = numbers();
  if (!transposed()) return at::conv2d(x, weight, added, n.stride, n.padding, n.dilation, n.groups);
  return at::conv_transpose2d(x, weight, added, n.stride, n.padding, n.output_padding, n.groups, n.dilation);
}

Module make_layer_like(const LayerCall& call, const Module& network, const torch::Tensor& weight,
                       const std::optional<torch::Tensor>& bias) {
  const std::string type = call.operation == "linear" ? "linear.Linear"
                           : call.transposed()        ? "conv.ConvTranspose2d"
                                                      : "conv.Conv2d";
  Module module("__torch__.torch.nn.modules." + type, network._ivalue()->compilation_unit(), /*shouldMangle=*/true);
  module.register_parameter("weight", weight, /*is_buffer=*/false);
  if (bias) module.register_parameter("bias", *bias, /*is_buffer=*/false);
  module.register_attribute("training", c10::BoolType::get(), false);
  const LayerNumbers n = call.numbers();
  std::string arguments = std::string("(x, self.weight, ") + (bias ? "self.bias" : "None");
  if (call.operation != "linear") {
    arguments += ", " + list_source(n.stride) + ", " + list_source(n.padding);
    arguments += call.transposed() ? ", " + list_source(n.output_padding) + ", " + std::to_string(n.groups) + ", " + list_source(n.dilation)
                                   : ", " + list_source(n.dilation) + ", " + std::to_string(n.groups);
  }
  module.define("def forward(self, x):\n    return torch." + call.operation + arguments + ")\n");
  return module;
}

std::int64_t groups_of(const Module& layer) {
  const Node* found = operator_of(layer);
  if (found == nullptr || found->kind() == torch::jit::aten::linear) return 1;
  return constant_integers(found->input(6)).front();
}

std::vector<LayerCall> layer_calls(const Module& network) {
  const auto graph = network.get_method("forward").graph();
  std::vector<LayerCall> calls;
  std::map<std::string, int> times;
  for (Node* node : graph->nodes()) {
    if (node->kind() != torch::jit::prim::CallMethod) continue;
    const Node* owner = node->input(0)->node();
    if (owner->kind() != torch::jit::prim::GetAttr || owner->input() != graph->inputs().at(0)) continue;
    const std::string name = owner->s(torch::jit::attr::name);
    const Module child = network.attr(name).toModule();
    ++times[name];
    Node* layer = operator_of(child);
    if (layer == nullptr) continue;
    calls.push_back({name, layer->kind().toUnqualString(), child, node, layer});
  }
  std::erase_if(calls, [&](const LayerCall& call) { return times[call.name] > 1; });
  return calls;
}

}  // namespace outcrop::quantize
