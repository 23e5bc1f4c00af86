#include "trainer_host/trainer/quantize/layer_plan.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>

#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Block;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

constexpr std::array<std::string_view, 3> int8_layers{"aten::conv2d", "aten::conv_transpose2d",
                                                      "aten::linear"};
template <std::size_t N>
bool contains(const std::array<std::string_view, N>& set, std::string_view name) {
  return std::find(set.begin(), set.end(), name) != set.end();
}

void for_each_node(Block* block, const std::function<void(Node*)>& visit) {
  for (Node* node : block->nodes()) {
    visit(node);
    for (Block* inner : node->blocks()) for_each_node(inner, visit);
  }
}

// The tensors of the module that `node` consumes, in a list of them, too.
std::vector<models::FixedTensor> consumed_parameters(const Node* node, const Module& module) {
  std::vector<models::FixedTensor> parameters;
  for (const Value* input : node->inputs()) {
    if (input->node()->kind() == torch::jit::prim::ListConstruct) {
      const auto listed = consumed_parameters(input->node(), module);
      parameters.insert(parameters.end(), listed.begin(), listed.end());
    } else if (input->type()->kind() == c10::TypeKind::TensorType) {
      auto parameter = models::fixed_tensor(input, module);
      if (parameter && !parameter->path.empty()) parameters.push_back(std::move(*parameter));
    }
  }
  return parameters;
}

std::string owner_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

// A planned layer and the address by which a run knows it.
struct FoundLayer {
  PlannedLayer layer;
  const void* weight = nullptr;
};

std::optional<FoundLayer> layer_of(const Node* node, const Module& module) {
  const std::string kind = node->kind().toQualString();
  if (!kind.starts_with("aten::") || kind == "aten::contiguous") return std::nullopt;
  FoundLayer found;
  for (const auto& [path, tensor] : consumed_parameters(node, module)) {
    if (found.weight == nullptr) {
      found.weight = tensor.data_ptr();
      found.layer.name = owner_of(path);
    }
    // As torch.nn names them.
    const std::string name = path.substr(path.rfind('.') + 1);
    (name.starts_with("bias") ? found.layer.biases : found.layer.weights) += tensor.numel();
  }
  if (found.weight == nullptr) return std::nullopt;
  found.layer.operation = kind.substr(std::string_view("aten::").size());
  if (node->owningBlock() != node->owningGraph()->block()) {
    found.layer.inside = node->owningBlock()->owningNode()->kind().toQualString();
  }
  return found;
}

// Input and recurrent weights meet each step of each row.
std::int64_t recurrent_products(const TracedCall& call) {
  const auto input = call.inputs[0].toTensor();
  std::int64_t weights = 0;
  for (const torch::Tensor& one : call.inputs[2].toTensorVector()) weights += one.dim() > 1 ? one.numel() : 0;
  return input.numel() / input.size(-1) * weights;
}

bool consumes(const TracedCall& call, const void* weight) {
  const auto is = [&](const torch::Tensor& tensor) { return tensor.defined() && tensor.data_ptr() == weight; };
  return std::any_of(call.inputs.begin(), call.inputs.end(), [&](const c10::IValue& input) {
    if (input.isTensor()) return is(input.toTensor());
    if (!input.isTensorList()) return false;
    const auto list = input.toTensorVector();
    return std::any_of(list.begin(), list.end(), is);
  });
}

// Which of the layers with these weights this call was: they come in their order, and again where one is
// in a loop.
PlannedLayer* called(const TracedCall& call, std::vector<FoundLayer>& layers) {
  PlannedLayer* last = nullptr;
  for (FoundLayer& one : layers) {
    if (call.name != "aten::" + one.layer.operation || !consumes(call, one.weight)) continue;
    last = &one.layer;
    if (last->calls == 0) return last;
  }
  return last;
}

std::vector<PlannedLayer> measured(const Module& module, const std::vector<torch::Tensor>& sample,
                                   std::vector<FoundLayer> layers) {
  std::map<std::string, PlannedLayer> products;  // without weights
  const torch::NoGradGuard no_grad;
  OperatorTrace trace;
  Module(module).forward({sample.begin(), sample.end()});
  for (const TracedCall& call : trace.take()) {
    PlannedLayer* layer = called(call, layers);
    const bool recurrent = layer != nullptr && (layer->operation == "lstm" || layer->operation == "gru");
    if (layer == nullptr) {
      if (call.multiply_adds == 0) continue;
      layer = &products[call.name];
      layer->name = layer->operation = call.name.substr(call.name.find("::") + 2);
    }
    layer->multiply_adds += recurrent ? recurrent_products(call) : call.multiply_adds;
    ++layer->calls;
  }
  std::vector<PlannedLayer> plan;
  for (FoundLayer& one : layers) plan.push_back(std::move(one.layer));
  for (auto& [name, product] : products) plan.push_back(std::move(product));
  return plan;
}

bool is_tensor(const c10::TypePtr& type) {
  return type->kind() == c10::TypeKind::TensorType;
}

// The passes observe tensors; of what else comes in or goes out they would say nothing.
Status check_ends(const Module& module, std::size_t rows) {
  const Ends ends = ends_of(module);
  if (ends.given == 0) {
    return fail(ErrorCode::unsupported, "static int8 is of networks that give a tensor or a tuple of tensors");
  }
  if (ends.taken == rows) return {};
  return fail(ErrorCode::unsupported,
              "it takes " + std::to_string(ends.taken) + " tensors, and there are rows for " + std::to_string(rows));
}

}  // namespace

std::vector<PlannedLayer> find_layers(const Module& module, const std::vector<torch::Tensor>& sample) {
  const auto graph = models::inlined_graph(module, "forward");
  std::vector<FoundLayer> layers;
  for_each_node(graph->block(), [&](Node* node) {
    if (auto layer = layer_of(node, module)) layers.push_back(std::move(*layer));
  });
  return measured(module, sample, std::move(layers));
}

bool has_static_kernel(const std::string& operation) {
  return contains(int8_layers, "aten::" + operation);
}

Ends ends_of(const Module& module) {
  const auto& schema = module.get_method("forward").function().getSchema();
  Ends ends;
  ends.taken = static_cast<std::size_t>(std::count_if(schema.arguments().begin() + 1, schema.arguments().end(),
                                                      [](const c10::Argument& one) { return is_tensor(one.type()); }));
  if (schema.returns().size() != 1) return ends;
  const c10::TypePtr answer = schema.returns()[0].type();
  if (is_tensor(answer)) ends.given = 1;
  if (const auto tuple = answer->cast<c10::TupleType>()) {
    const auto elements = tuple->elements();
    if (std::all_of(elements.begin(), elements.end(), is_tensor)) ends.given = elements.size();
  }
  return ends;
}

Result<StaticLayers> find_static_layers(const Module& module, const ArgumentRows& sample) {
  try {
    OUTCROP_CHECK(check_ends(module, sample.arguments().size()));
    StaticLayers found{{}, find_layers(module, sample.arguments())};
    for (const PlannedLayer& layer : found.all) {
      if (!has_static_kernel(layer.operation) || layer.weights == 0) continue;
      if (!layer.inside.empty()) {
        return fail(ErrorCode::unsupported,
                    "layer '" + layer.name + "' (" + layer.operation + ") sits in a " + layer.inside +
                        " (a branch or loop): static int8 does not reach into those. Quantize what is inside as a module "
                        "of its own and put the rest around the result");
      }
      found.int8.push_back(layer);
    }
    if (found.int8.empty()) {
      return fail(ErrorCode::unsupported, "there is no layer that static int8 has a kernel for");
    }
    return found;
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "planning the quantization: " + models::words_of(error));
  }
}

Result<std::vector<PlannedLayer>> plan_layers(const Module& module, const ArgumentRows& sample) {
  OUTCROP_TRY(found, find_static_layers(module, sample));
  return std::move(found.int8);
}

std::map<std::string, int> count_graph_operators(const Module& module, const std::string& method) {
  std::map<std::string, int> counts;
  const auto graph = models::inlined_graph(module, method);
  for_each_node(graph->block(), [&](Node* node) {
    const std::string kind = node->kind().toQualString();
    if (!kind.starts_with("prim::")) ++counts[kind];
  });
  return counts;
}

std::string planned_operation_of(const std::string& quantized_operator) {
  constexpr std::string_view space = "quantized::";
  if (!quantized_operator.starts_with(space)) return {};
  std::string operation = quantized_operator.substr(space.size());
  if (operation.ends_with("_relu")) operation.resize(operation.size() - 5);
  return contains(int8_layers, "aten::" + operation) ? operation : std::string();
}

std::map<std::string, int> operations_of(const std::vector<PlannedLayer>& layers,
                                         const std::set<std::string>& names) {
  std::map<std::string, int> counts;
  for (const PlannedLayer& layer : layers) {
    if (names.contains(layer.name)) ++counts[layer.operation];
  }
  return counts;
}

Status check_against_plan(const std::map<std::string, int>& operators,
                          const std::vector<PlannedLayer>& plan,
                          const std::map<std::string, int>& planned_float) {
  std::map<std::string, int> missing;
  std::map<std::string, std::string> names;
  for (const PlannedLayer& layer : plan) {
    ++missing[layer.operation];
    names[layer.operation] += (names[layer.operation].empty() ? "" : ", ") + layer.name;
  }
  for (const auto& [name, count] : operators) {
    if (contains(int8_layers, name)) {
      const std::string operation = name.substr(std::string_view("aten::").size());
      const auto allowed = planned_float.find(operation);
      const int stayed = count - (allowed == planned_float.end() ? 0 : allowed->second);
      if (stayed == 0) continue;
      return fail(ErrorCode::internal, std::to_string(stayed) + " × " + name +
                                           " stayed float; planned in int8 were: " +
                                           names[operation]);
    }
    if (const std::string operation = planned_operation_of(name); !operation.empty()) {
      missing[operation] -= count;
    }
  }
  for (const auto& [operation, count] : missing) {
    if (count == 0) continue;
    return fail(ErrorCode::internal, std::to_string(std::abs(count)) + " × quantized::" +
                                         operation + (count > 0 ? " fewer" : " more") +
                                         " than planned; the plan has: " + names[operation]);
  }
  return {};
}

}  // namespace outcrop::quantize
