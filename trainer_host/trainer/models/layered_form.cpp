#include "trainer_host/trainer/models/layered_form.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/fold_conv_bn.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_dropout.h>
#include <torch/csrc/jit/passes/remove_mutation.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

void visit_all(Block* block, const std::function<void(Node*)>& visit) {
  for (auto node = block->nodes().begin(); node != block->nodes().end();) {
    Node* current = *node++;  // the visitor may destroy it
    for (Block* inner : current->blocks()) visit_all(inner, visit);
    visit(current);
  }
}

bool is_layer(const Node* node) {
  const std::string kind = node->kind().toQualString();
  return kind == "aten::conv2d" || kind == "aten::conv_transpose2d" || kind == "aten::linear" ||
         kind == "aten::_convolution";
}

// What an attribute of the network, or of a module in it, holds, and where: "features.0.weight".
struct Attribute {
  std::string path;
  c10::IValue value;
};

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

// Weight or bias of layers, and of nothing else.
bool belongs_to_layers(const Value* value) {
  return std::all_of(value->uses().begin(), value->uses().end(), [](const torch::jit::Use& use) {
    return is_layer(use.user) && (use.offset == 1 || use.offset == 2);
  });
}

// In evaluation mode nothing of a module changes: its attributes are constants, but for those of layers.
void fix_attributes(Graph& graph, const Module& network) {
  visit_all(graph.block(), [&](Node* node) {
    TORCH_CHECK(node->kind() != torch::jit::prim::SetAttr, "it changes '",
                node->s(torch::jit::attr::name), "' of its own");
    if (node->kind() != torch::jit::prim::GetAttr) return;
    auto attribute = attribute_of(node->output(), network);
    if (!attribute || attribute->value.isObject()) return;
    if (attribute->value.isTensor()) {
      if (belongs_to_layers(node->output())) return;
      attribute->value = attribute->value.toTensor().detach();
    }
    const torch::jit::WithInsertPoint before(node);
    node->output()->replaceAllUsesWith(graph.insertConstant(attribute->value));
  });
}

// An argument that has a default is at it.
void fix_defaults(Graph& graph, const c10::FunctionSchema& schema) {
  for (std::size_t i = schema.arguments().size(); i-- > 1;) {
    const auto& value = schema.arguments()[i].default_value();
    if (!value) continue;
    const torch::jit::WithInsertPoint first(*graph.nodes().begin());
    graph.inputs()[i]->replaceAllUsesWith(graph.insertConstant(*value));
    graph.eraseInput(i);
  }
}

std::string integers_of(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  std::vector<std::int64_t> numbers;
  if (constant && constant->isIntList()) {
    numbers = constant->toIntVector();
  } else {
    TORCH_CHECK(value->node()->kind() == torch::jit::prim::ListConstruct, "a layer's strides or padding are computed");
    for (const Value* element : value->node()->inputs()) {
      const auto one = torch::jit::toIValue(element);
      TORCH_CHECK(one && one->isInt(), "a layer's strides or padding are computed");
      numbers.push_back(one->toInt());
    }
  }
  if (numbers.size() == 1) numbers.push_back(numbers.front());
  TORCH_CHECK(numbers.size() == 2, "a layer's strides or padding are not two numbers");
  return "[" + std::to_string(numbers[0]) + ", " + std::to_string(numbers[1]) + "]";
}

std::string integer_of(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  TORCH_CHECK(constant && constant->isInt(), "a layer's groups are computed");
  return std::to_string(constant->toInt());
}

struct LayerCall {
  std::string type;    // Python's name for the module
  std::string source;  // of "x"
};

LayerCall call_of(const Node* node, bool has_bias) {
  const std::string kind = node->kind().toQualString();
  const std::string tensors = std::string("x, self.weight, ") + (has_bias ? "self.bias" : "None");
  if (kind == "aten::linear") return {"linear.Linear", "torch.linear(" + tensors + ")"};
  bool transposed = kind == "aten::conv_transpose2d";
  std::size_t dilation = 5, groups = 6, output_padding = 5;
  if (kind == "aten::_convolution") {
    const auto flag = torch::jit::toIValue(node->input(6));
    TORCH_CHECK(flag && flag->isBool(), "a layer's kind is computed");
    transposed = flag->toBool();
    output_padding = 7;
    groups = 8;
  } else if (transposed) {
    dilation = 7;
  }
  const std::string place = tensors + ", " + integers_of(node->input(3)) + ", " + integers_of(node->input(4));
  if (!transposed) {
    return {"conv.Conv2d", "torch.conv2d(" + place + ", " + integers_of(node->input(dilation)) + ", " +
                               integer_of(node->input(groups)) + ")"};
  }
  return {"conv.ConvTranspose2d",
          "torch.conv_transpose2d(" + place + ", " + integers_of(node->input(output_padding)) + ", " +
              integer_of(node->input(groups)) + ", " + integers_of(node->input(dilation)) + ")"};
}

std::string name_of_layer(const std::string& weight, const Module& layered) {
  std::string name = weight.substr(0, weight.rfind('.'));
  if (weight.find('.') == std::string::npos) name = "layer";
  std::replace(name.begin(), name.end(), '.', '_');
  if (std::isdigit(static_cast<unsigned char>(name.front())) != 0) name = "layer_" + name;
  std::string free = name;
  for (int call = 2; layered.hasattr(free); ++call) free = name + "_" + std::to_string(call);
  return free;
}

// Puts a child in the node's place.
void make_child(Node* node, Module& layered, const Module& network) {
  auto weight = attribute_of(node->input(1), network);
  const auto constant_weight = torch::jit::toIValue(node->input(1));  // of a frozen network
  if (!weight && constant_weight && constant_weight->isTensor()) weight = {"layer.weight", *constant_weight};
  TORCH_CHECK(weight && weight->value.isTensor(), "a layer's weights are computed");
  const Tensor values = weight->value.toTensor().detach();
  const bool is_linear = node->kind() == torch::jit::aten::linear;
  if (!is_linear && values.dim() != 4) return;  // along one axis, or three
  Tensor bias;
  if (const auto own = attribute_of(node->input(2), network); own && own->value.isTensor()) {
    bias = own->value.toTensor().detach();
  } else if (const auto constant = torch::jit::toIValue(node->input(2)); constant && constant->isTensor()) {
    bias = constant->toTensor().detach();
  } else {
    TORCH_CHECK(node->input(2)->mustBeNone() || (own && own->value.isNone()), "a layer's bias is computed");
  }
  const LayerCall call = call_of(node, bias.defined());
  const auto unit = layered._ivalue()->compilation_unit();
  Module child("__torch__.torch.nn.modules." + call.type, unit, /*shouldMangle=*/true);
  child.register_parameter("weight", values, /*is_buffer=*/false);
  if (bias.defined()) child.register_parameter("bias", bias, /*is_buffer=*/false);
  child.register_attribute("training", c10::BoolType::get(), false);
  child.define("def forward(self, x):\n    return " + call.source + "\n");
  const std::string name = name_of_layer(weight->path, layered);
  layered.register_module(name, child);

  Graph& graph = *node->owningGraph();
  const torch::jit::WithInsertPoint before(node);
  Node* get = graph.create(torch::jit::prim::GetAttr, {graph.inputs()[0]});
  get->s_(torch::jit::attr::name, name);
  get->output()->setType(child.type());
  graph.insertNode(get);
  Node* forward = graph.create(torch::jit::prim::CallMethod, {get->output(), node->input(0)});
  forward->s_(torch::jit::attr::name, "forward");
  forward->output()->setType(c10::TensorType::get());
  graph.insertNode(forward);
  node->output()->replaceAllUsesWith(forward->output());
  node->destroy();
}

Module folded(const Module& network) {
  Module copy = network.deepcopy();
  copy.eval();
  try {
    return torch::jit::FoldConvBatchNorm(copy);
  } catch (const c10::Error&) {
    return copy;  // what is left of them is said by whoever quantizes
  }
}

}  // namespace

Module layered_form(const Module& network) {
  const torch::NoGradGuard no_gradient;
  const torch::jit::GraphOptimizerEnabledGuard optimizer(true);  // else only calls in forward are inlined
  const Module whole = folded(network);
  const auto method = whole.get_method("forward");
  auto graph = method.graph()->copy();
  torch::jit::Inline(*graph);
  fix_defaults(*graph, method.function().getSchema());
  fix_attributes(*graph, whole);
  torch::jit::ConstantPropagation(graph);
  torch::jit::RemoveTensorMutation(graph);
  torch::jit::removeDropout(graph);
  torch::jit::PeepholeOptimize(graph);
  torch::jit::ConstantPropagation(graph);
  torch::jit::EliminateDeadCode(graph);

  Module layered("__torch__.outcrop.Layered", std::make_shared<torch::jit::CompilationUnit>(),
                 /*shouldMangle=*/true);
  layered.register_attribute("training", c10::BoolType::get(), false);
  std::vector<Node*> layers;
  visit_all(graph->block(), [&](Node* node) {
    if (is_layer(node)) layers.push_back(node);
  });
  for (Node* layer : layers) make_child(layer, layered, whole);
  torch::jit::EliminateDeadCode(graph);
  graph->inputs()[0]->setType(layered.type());
  for (const torch::jit::Use& use : graph->inputs()[0]->uses()) {
    TORCH_CHECK(use.user->kind() == torch::jit::prim::GetAttr &&
                    layered.hasattr(use.user->s(torch::jit::attr::name)),
                "it calls what is not TorchScript");
  }
  auto* forward = layered._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*layered.type()->name(), "forward"), graph);
  layered.type()->addMethod(forward);
  return layered;
}

std::vector<std::string> other_operations(const Module& layered) {
  std::set<std::string> found;
  visit_all(layered.get_method("forward").graph()->block(), [&](Node* node) {
    const std::string kind = node->kind().toQualString();
    if (!kind.starts_with("aten::")) return;
    for (const Value* input : node->inputs()) {
      const auto constant = torch::jit::toIValue(input);
      if (constant && constant->isTensor() && constant->toTensor().numel() > 1 &&
          constant->toTensor().is_floating_point()) {
        found.insert(kind.substr(6));
      }
    }
  });
  return {found.begin(), found.end()};
}

}  // namespace outcrop::models
