#include "trainer_host/trainer/models/layered_form.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_dropout.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "trainer_host/trainer/models/decided_graph.hpp"
#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

// Parameters of layers, and of nothing else.
bool belongs_to_layers(const Value* value, std::int64_t axes) {
  return std::all_of(value->uses().begin(), value->uses().end(), [&](const torch::jit::Use& use) {
    const std::string kind = use.user->kind().toQualString();
    if (kind == "prim::ListConstruct") {
      const auto& lists = use.user->output()->uses();
      return std::all_of(lists.begin(), lists.end(), [](const torch::jit::Use& list) {
        return is_layer(list.user) && list.offset == 2;
      });
    }
    if (!is_layer(use.user)) return false;
    if (kind == "aten::embedding") return use.offset == 0;
    const bool weight = use.offset == 1;
    if (weight && kind != "aten::linear" && (axes < 3 || axes > 4)) return false;
    return weight || use.offset == 2;
  });
}

// In evaluation mode nothing of a module changes: its attributes are constants, but for those of layers.
void fix_numbers(Graph& graph, const Module& network) {
  visit_all(graph.block(), [&](Node* node) {
    if (node->kind() != torch::jit::prim::GetAttr) return;
    const auto held = attribute_of(node->output(), network);
    if (!held || held->value.isObject() || held->value.isTensor() || held->value.isTensorList()) return;
    const torch::jit::WithInsertPoint before(node);
    if (const auto constant = torch::jit::tryInsertConstant(graph, held->value)) {
      node->output()->replaceAllUsesWith(*constant);
    }
  });
}

void fix_tensors(Graph& graph, const Module& network) {
  visit_all(graph.block(), [&](Node* node) {
    TORCH_CHECK(node->kind() != torch::jit::prim::SetAttr, "it changes '",
                node->s(torch::jit::attr::name), "' of its own");
    if (node->kind() != torch::jit::prim::GetAttr) return;
    const auto held = attribute_of(node->output(), network);
    if (held && held->value.isTensorList()) {  // as torch.nn's LSTM holds its weights
      const auto& uses = node->output()->uses();
      const bool of_layers = std::all_of(uses.begin(), uses.end(), [](const torch::jit::Use& use) {
        return is_layer(use.user) && use.offset == 2;
      });
      TORCH_CHECK(of_layers, "it holds weights in a list that is no LSTM's or GRU's");
      return;
    }
    if (!held || !held->value.isTensor()) return;
    const Tensor tensor = held->value.toTensor().detach();
    if (belongs_to_layers(node->output(), tensor.dim())) return;
    const torch::jit::WithInsertPoint before(node);
    node->output()->replaceAllUsesWith(graph.insertConstant(tensor));
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

// [last] → [first, last], which it may be computed to; of none, none.
Value* with_first(Graph& graph, Value* list, const c10::IValue& first) {
  if (list->mustBeNone()) return list;
  Value* one = graph.insertNode(graph.createList(list->type()->expectRef<c10::ListType>().getElementType(),
                                                 {graph.insertConstant(first)}))->output();
  return graph.insert(torch::jit::aten::add, {one, list});
}

// Resizing along one axis is resizing along two: for the former LibTorch has no int8.
void lift_resizing(Graph& graph) {
  visit_all(graph.block(), [&](Node* node) {
    const std::string kind = node->kind().toQualString();
    const bool linear = kind == "aten::upsample_linear1d";
    if (!linear && kind != "aten::upsample_nearest1d") return;
    const std::size_t factors = linear ? 3 : 2;
    for (const std::size_t list : {std::size_t{1}, factors}) {  // of the overload that Python's functions call
      const auto* given = node->inputs().size() == factors + 1 ? node->input(list) : nullptr;
      if (given == nullptr || !(given->mustBeNone() || given->type()->kind() == c10::TypeKind::ListType)) return;
    }
    const torch::jit::WithInsertPoint before(node);
    const auto symbol = [](const char* name) { return c10::Symbol::fromQualString(name); };
    std::vector<torch::jit::NamedValue> arguments{
        graph.insert(symbol("aten::unsqueeze"), {node->input(0), std::int64_t{-2}}),
        with_first(graph, node->input(1), std::int64_t{1})};
    if (linear) arguments.emplace_back(node->input(2));
    arguments.emplace_back(with_first(graph, node->input(factors), 1.0));
    Value* resized = graph.insert(symbol(linear ? "aten::upsample_bilinear2d" : "aten::upsample_nearest2d"), arguments);
    node->output()->replaceAllUsesWith(graph.insert(symbol("aten::squeeze"), {resized, std::int64_t{-2}}));
    node->destroy();
  });
}

// A batch norm in evaluation mode: x · scale + shift, for each channel.
struct Normalization {
  std::optional<Tensor> weight;
  std::optional<Tensor> bias;
  Tensor mean;
  Tensor variance;
  double epsilon = 0.0;

  [[nodiscard]] Tensor scale() const {
    const Tensor plain = torch::rsqrt(variance + epsilon);
    return weight ? plain * *weight : plain;
  }
  [[nodiscard]] Tensor shift(const Tensor& scale) const {
    const Tensor plain = -mean * scale;
    return bias ? plain + *bias : plain;
  }
};

std::optional<Normalization> normalization_of(const Node* node) {
  const auto tensor = [&](std::size_t i) {
    const auto constant = torch::jit::toIValue(node->input(i));
    return constant && constant->isTensor() ? std::optional(constant->toTensor()) : std::nullopt;
  };
  const auto mean = tensor(3);
  const auto variance = tensor(4);
  const auto training = torch::jit::toIValue(node->input(5));
  const auto eps = torch::jit::toIValue(node->input(7));
  if (!mean || !variance || !training || training->toBool() || !eps) return std::nullopt;
  return Normalization{tensor(1), tensor(2), *mean, *variance, eps->toDouble()};
}

std::optional<GraphLayer> known_call(Node* node, const Module& network) {
  try {
    return graph_layer(node, network);
  } catch (const c10::Error&) {
    return std::nullopt;  // its weights are computed, or its strides: it stays an operation
  }
}

// Those of batch norms that can be done by the weights of the layer before them; these are taken out.
std::map<const Node*, Normalization> take_normalizations(Graph& graph, const Module& network) {
  std::map<const Node*, Normalization> taken;
  visit_all(graph.block(), [&](Node* node) {
    if (node->kind() != torch::jit::aten::batch_norm) return;
    const Node* layer = node->input(0)->node();
    const std::string kind = layer->kind().toQualString();
    if (!is_layer(layer) || layer->outputs().size() != 1 || layer->output()->uses().size() != 1) return;
    if (kind == "aten::embedding" || taken.contains(layer) || !known_call(node->input(0)->node(), network)) return;
    if (kind == "aten::linear") return;  // its channels may lie behind others
    auto normalization = normalization_of(node);
    if (!normalization) return;
    taken.emplace(layer, std::move(*normalization));
    node->output()->replaceAllUsesWith(node->input(0));
    node->destroy();
  });
  return taken;
}

void fold(GraphLayer& call, const Normalization& normalization) {
  Tensor& weight = call.tensors.front().second;
  const Tensor scale = normalization.scale();
  if (call.channel_axis == 1) {  // [in, out / groups, …]
    const auto shape = weight.sizes().vec();
    std::vector<std::int64_t> grouped{call.groups, shape[0] / call.groups};
    grouped.insert(grouped.end(), shape.begin() + 1, shape.end());
    std::vector<std::int64_t> channels(grouped.size(), 1);
    channels[0] = call.groups;
    channels[2] = shape[1];
    weight = (weight.reshape(grouped) * scale.reshape(channels)).reshape(shape);
  } else {
    std::vector<std::int64_t> channels(static_cast<std::size_t>(weight.dim()), 1);
    channels[0] = -1;
    weight = weight * scale.reshape(channels);
  }
  const Tensor shift = normalization.shift(scale);
  if (call.tensors.size() > 1) {
    call.tensors[1].second = call.tensors[1].second * scale + shift;
  } else {
    call.tensors.emplace_back("bias", shift);
  }
}

// A layer that had no bias got one.
void ask_for_bias(GraphLayer& call) {
  const std::string none = "self.weight, None";
  const auto at = call.source.find(none);
  if (at != std::string::npos) call.source.replace(at, none.size(), "self.weight, self.bias");
}

// Paths of a network's tensors by where their values lie.
using Paths = std::map<const void*, std::string>;

Paths paths_of(const Module& network) {
  Paths paths;
  for (const auto& [name, tensor] : tensors_of(network)) {
    if (tensor.numel() > 0) paths.emplace(tensor.data_ptr(), name);
  }
  return paths;
}

// Of a layer before its norm is folded; nothing where a tensor of it is not the network's.
std::optional<LayerOrigin> origin_of(const GraphLayer& call, const Normalization* normalization, const Paths& paths) {
  bool known = true;
  const auto path = [&](const Tensor& tensor) {
    const auto found = paths.find(tensor.data_ptr());
    known = known && found != paths.end();
    return found == paths.end() ? std::string() : found->second;
  };
  LayerOrigin origin{{}, std::nullopt, call.lifted, call.channel_axis, call.groups};
  for (const auto& [name, tensor] : call.tensors) origin.tensors.emplace_back(name, path(tensor));
  if (normalization != nullptr) {
    const auto optional = [&](const std::optional<Tensor>& tensor) { return tensor ? path(*tensor) : std::string(); };
    origin.norm = LayerOrigin::Norm{optional(normalization->weight), optional(normalization->bias),
                                    path(normalization->mean), path(normalization->variance), normalization->epsilon};
  }
  return known ? std::optional(std::move(origin)) : std::nullopt;
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

Module child_of(const GraphLayer& call, const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  Module child("__torch__.torch.nn.modules." + call.type, unit, /*shouldMangle=*/true);
  for (const auto& [name, tensor] : call.tensors) {
    child.register_parameter(name, tensor.contiguous(), /*is_buffer=*/false);
  }
  child.register_attribute("training", c10::BoolType::get(), false);
  child.define(call.source);
  return child;
}

// Back to one axis; behind a ReLU, which then stays right behind its layer, as passes fuse them.
void put_down(Graph& graph, Value* lifted) {
  const auto& uses = lifted->uses();
  Value* last = lifted;
  if (uses.size() == 1 && uses[0].user->kind() == torch::jit::aten::relu) last = uses[0].user->output();
  const std::vector<torch::jit::Use> readers = last->uses();
  const torch::jit::WithInsertPoint behind(last->node()->next());
  Value* flat = graph.insert(c10::Symbol::fromQualString("aten::squeeze"), {last, std::int64_t{-2}});
  for (const torch::jit::Use& use : readers) use.user->replaceInput(use.offset, flat);
}

// Puts a child in the node's place, and answers its name.
std::string make_child(Node* node, GraphLayer call, Module& layered, const Normalization* normalization) {
  if (normalization != nullptr) {
    fold(call, *normalization);
    ask_for_bias(call);
  }
  const std::string name = name_of_layer(call.path, layered);
  const Module child = child_of(call, layered._ivalue()->compilation_unit());
  layered.register_module(name, child);

  Graph& graph = *node->owningGraph();
  const torch::jit::WithInsertPoint before(node);
  Node* get = graph.create(torch::jit::prim::GetAttr, {graph.inputs()[0]});
  get->s_(torch::jit::attr::name, name);
  get->output()->setType(child.type());
  graph.insertNode(get);
  if (call.lifted) {
    call.arguments[0] = graph.insert(torch::jit::aten::unsqueeze, {call.arguments[0], std::int64_t{-2}});
  }
  std::vector<Value*> inputs{get->output()};
  inputs.insert(inputs.end(), call.arguments.begin(), call.arguments.end());
  Node* forward = graph.create(torch::jit::prim::CallMethod, inputs);
  forward->s_(torch::jit::attr::name, "forward");
  const auto& returns = child.get_method("forward").function().getSchema().returns();
  forward->output()->setType(returns.at(0).type());
  graph.insertNode(forward);
  if (node->outputs().size() > 1) {
    Node* parts = graph.createTupleUnpack(forward->output());
    graph.insertNode(parts);
    for (std::size_t i = 0; i < node->outputs().size(); ++i) {
      node->outputs()[i]->replaceAllUsesWith(parts->outputs()[i]);
    }
  } else {
    Value* output = forward->output();
    node->output()->replaceAllUsesWith(output);
    if (call.lifted) put_down(graph, output);
  }
  node->destroy();
  return name;
}

// Tensors of layers that are none after all, and lists of them.
void fix_left(Graph& graph, const Module& network, const Module& layered) {
  visit_all(graph.block(), [&](Node* node) {
    if (node->kind() != torch::jit::prim::GetAttr) return;
    if (layered.hasattr(node->s(torch::jit::attr::name)) && node->output()->type()->cast<c10::ClassType>()) return;
    const auto held = attribute_of(node->output(), network);
    if (!held || !(held->value.isTensor() || held->value.isTensorList())) return;
    c10::IValue value;
    if (held->value.isTensor()) {
      value = held->value.toTensor().detach();
    } else {
      std::vector<Tensor> tensors;
      for (const Tensor& tensor : held->value.toTensorVector()) tensors.push_back(tensor.detach());
      value = tensors;
    }
    const torch::jit::WithInsertPoint before(node);
    if (const auto constant = torch::jit::tryInsertConstant(graph, value)) node->output()->replaceAllUsesWith(*constant);
  });
}

Module module_of(const std::shared_ptr<Graph>& graph, Module layered) {
  graph->inputs()[0]->setType(layered.type());
  auto* forward = layered._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*layered.type()->name(), "forward"), graph);
  layered.type()->addMethod(forward);
  return layered;
}

Module nothing_yet() {
  Module layered("__torch__.outcrop.Layered", std::make_shared<torch::jit::CompilationUnit>(),
                 /*shouldMangle=*/true);
  layered.register_attribute("training", c10::BoolType::get(), false);
  return layered;
}

}  // namespace

Module layered_form(const Module& network, const std::vector<Tensor>& example) {
  return layered_network(network, example).module;
}

std::vector<std::pair<std::string, Tensor>> tensors_of_layer(const LayerOrigin& origin,
                                                             const std::function<Tensor(const std::string&)>& tensor) {
  GraphLayer call;
  call.channel_axis = origin.channel_axis;
  call.groups = origin.groups;
  for (const auto& [name, path] : origin.tensors) call.tensors.emplace_back(name, tensor(path));
  if (origin.lifted) call.tensors.front().second = call.tensors.front().second.unsqueeze(-2);
  if (origin.norm) {
    const auto optional = [&](const std::string& path) {
      return path.empty() ? std::nullopt : std::optional(tensor(path));
    };
    fold(call, {optional(origin.norm->weight), optional(origin.norm->bias), tensor(origin.norm->mean),
                tensor(origin.norm->variance), origin.norm->epsilon});
  }
  return std::move(call.tensors);
}

LayeredNetwork layered_network(const Module& network, const std::vector<Tensor>& example) {
  const torch::NoGradGuard no_gradient;
  Module whole = network.deepcopy();
  whole.eval();
  auto graph = inlined_graph(whole, "forward");
  fix_defaults(*graph, whole.get_method("forward").function().getSchema());
  fix_numbers(*graph, whole);
  take_apart(*graph);
  torch::jit::ConstantPropagation(graph);
  decide_branches(graph, whole, example);
  lift_resizing(*graph);
  fix_tensors(*graph, whole);
  torch::jit::RemoveTensorMutation(graph);
  torch::jit::removeDropout(graph);
  torch::jit::PeepholeOptimize(graph);
  torch::jit::ConstantPropagation(graph);
  const auto normalizations = take_normalizations(*graph, whole);

  const Paths paths = paths_of(whole);
  std::map<std::string, LayerOrigin> origins;
  Module layered = nothing_yet();
  std::vector<Node*> layers;
  visit_all(graph->block(), [&](Node* node) {
    if (is_layer(node)) layers.push_back(node);
  });
  for (Node* layer : layers) {
    auto call = known_call(layer, whole);
    if (!call) continue;
    const auto found = normalizations.find(layer);
    const Normalization* normalization = found == normalizations.end() ? nullptr : &found->second;
    auto origin = origin_of(*call, normalization, paths);
    const std::string name = make_child(layer, std::move(*call), layered, normalization);
    if (origin) origins.emplace(name, std::move(*origin));
  }
  fix_left(*graph, whole, layered);
  torch::jit::EliminateDeadCode(graph);
  for (const torch::jit::Use& use : graph->inputs()[0]->uses()) {
    TORCH_CHECK(use.user->kind() == torch::jit::prim::GetAttr &&
                    layered.hasattr(use.user->s(torch::jit::attr::name)),
                "it calls what is not TorchScript");
  }
  return {module_of(graph, std::move(layered)), std::move(origins)};
}

std::string change_in_place(const Module& network) {
  auto graph = inlined_graph(network, "forward");
  torch::jit::RemoveTensorMutation(graph);
  std::string found;
  visit_all(graph->block(), [&](Node* node) {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr) return;
    for (const auto& argument : schema->arguments()) {
      const auto* alias = argument.alias_info();
      if (alias == nullptr || !alias->isWrite() || !argument.type()->isSubtypeOf(*c10::TensorType::get())) continue;
      if (found.empty()) found = node->kind().toQualString();
    }
  });
  return found;
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
