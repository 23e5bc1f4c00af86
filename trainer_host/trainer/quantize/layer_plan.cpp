#include "trainer_host/trainer/quantize/layer_plan.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string_view>

#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

constexpr std::array<std::string_view, 3> int8_layers{"aten::conv2d", "aten::conv_transpose2d",
                                                      "aten::linear"};
// Multiply without a parameter; in float they would escape the count of multiply-adds.
constexpr std::array<std::string_view, 18> matrix_products{
    "aten::matmul", "aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::einsum",
    "aten::conv1d", "aten::conv3d", "aten::conv_transpose1d", "aten::conv_transpose3d",
    "aten::_convolution", "aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu",
    "aten::bilinear", "aten::_native_multi_head_attention", "aten::scaled_dot_product_attention"};

// Take a constant of several rows and multiply no matrices: they look up, or go element by element.
constexpr std::array<std::string_view, 26> no_products{
    "aten::add", "aten::sub", "aten::rsub", "aten::mul", "aten::div", "aten::pow", "aten::embedding",
    "aten::index_select", "aten::index", "aten::gather", "aten::cat", "aten::stack", "aten::where",
    "aten::masked_fill", "aten::maximum", "aten::minimum", "aten::expand", "aten::expand_as",
    "aten::select", "aten::slice", "aten::to", "aten::reshape", "aten::view", "aten::layer_norm",
    "aten::permute", "aten::unsqueeze"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& set, std::string_view name) {
  return std::find(set.begin(), set.end(), name) != set.end();
}

std::shared_ptr<Graph> inlined_graph(const Module& module, const std::string& method) {
  // With the optimizer off, calls inside of called methods are not inlined.
  const torch::jit::GraphOptimizerEnabledGuard optimizer(true);
  auto graph = module.get_method(method).graph()->copy();
  torch::jit::Inline(*graph);
  return graph;
}

void for_each_node(Block* block, const std::function<void(Node*)>& visit) {
  for (Node* node : block->nodes()) {
    visit(node);
    for (Block* inner : node->blocks()) for_each_node(inner, visit);
  }
}

// "up1.weight" for a value read from the module itself; "" for anything computed.
std::string attribute_path(const Value* value) {
  std::string path;
  const Node* node = value->node();
  while (node->kind() == torch::jit::prim::GetAttr) {
    const std::string name = node->s(torch::jit::attr::name);
    path = path.empty() ? name : name + "." + path;
    node = node->input()->node();
  }
  return node->kind() == torch::jit::prim::Param ? path : std::string();
}

// The tensor of the module that `node` consumes, the weight before the bias; "" for none.
std::string consumed_parameter(const Node* node) {
  for (const Value* input : node->inputs()) {
    if (input->type()->kind() != c10::TypeKind::TensorType) continue;
    if (std::string path = attribute_path(input); !path.empty()) return path;
  }
  return {};
}

std::string owner_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

// Weights of a network of others, whose attributes are constants.
bool takes_constant_matrix(const Node* node) {
  return std::any_of(node->inputs().begin(), node->inputs().end(), [](const Value* input) {
    const auto constant = torch::jit::toIValue(input);
    return constant && constant->isTensor() && constant->toTensor().dim() > 1 &&
           constant->toTensor().is_floating_point();
  });
}

Status check_node(const Node* node, const std::string& parameter) {
  const std::string kind = node->kind().toQualString();
  if (kind == "prim::CallMethod" || kind == "prim::CallFunction") {
    return fail(ErrorCode::internal, "a " + kind + " was not inlined: what it does is unknown");
  }
  if (kind.starts_with("prim::")) return {};
  if (node->owningBlock() != node->owningGraph()->block() &&
      (contains(int8_layers, kind) || !parameter.empty())) {
    return fail(ErrorCode::unsupported,
                "layer '" + owner_of(parameter) + "' (" + kind + ") sits in a " +
                    node->owningBlock()->owningNode()->kind().toQualString() +
                    ": the quantization passes leave it in float without a word. Quantize what is "
                    "inside as a module of its own and put the loop around the result");
  }
  if (contains(int8_layers, kind)) return {};
  if (kind == "aten::batch_norm") {
    return fail(ErrorCode::unsupported,
                "batch norm '" + owner_of(parameter) +
                    "' did not fold: it must follow a plain convolution directly");
  }
  if (!parameter.empty()) {
    return fail(ErrorCode::unsupported, "layer '" + owner_of(parameter) + "' (" + kind +
                                            ") has no int8 kernel here; there are ones for conv2d, "
                                            "conv_transpose2d and linear");
  }
  if (contains(matrix_products, kind) || (takes_constant_matrix(node) && !contains(no_products, kind))) {
    return fail(ErrorCode::unsupported,
                kind + " has no int8 kernel here and would multiply in float");
  }
  return {};
}

std::int64_t positions(const OperatorCounter::Call& call) {
  const auto input = call.inputs[0].toTensor();
  const auto weight = call.inputs[1].toTensor();
  if (call.name == "aten::linear") return input.numel() / weight.size(1);
  if (call.name == "aten::conv_transpose2d") return input.size(2) * input.size(3);
  const auto stride = call.inputs[3].toIntVector();
  const auto padding = call.inputs[4].toIntVector();
  const auto dilation = call.inputs[5].toIntVector();
  std::int64_t count = 1;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto axis = static_cast<std::int64_t>(i) + 2;
    const auto reach = dilation[i] * (weight.size(axis) - 1) + 1;
    count *= (input.size(axis) + 2 * padding[i] - reach) / stride[i] + 1;
  }
  return count;
}

Status measure_layers(const Module& module, const torch::Tensor& sample,
                      std::vector<PlannedLayer>& plan) {
  const torch::NoGradGuard no_grad;
  OperatorCounter counter({int8_layers.begin(), int8_layers.end()});
  Module(module).forward({sample});
  const auto& calls = counter.calls();
  bool equal = calls.size() == plan.size();
  for (std::size_t i = 0; equal && i < calls.size(); ++i) {
    equal = calls[i].name == "aten::" + plan[i].operation;
  }
  if (!equal) {
    return fail(ErrorCode::internal, "a run executed " + std::to_string(calls.size()) +
                                         " layers where the graph holds " +
                                         std::to_string(plan.size()));
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto weight = calls[i].inputs[1].toTensor();
    const auto& bias = calls[i].inputs[2];
    plan[i].weights = weight.numel();
    plan[i].biases = bias.isTensor() ? bias.toTensor().numel() : 0;
    plan[i].multiply_adds = positions(calls[i]) * weight.numel();
  }
  return {};
}

// The passes observe what goes from one float tensor to one.
Status check_one_tensor(const Module& module, const torch::Tensor& sample) {
  const auto& schema = module.get_method("forward").function().getSchema();
  const auto tensors = std::count_if(
      schema.arguments().begin() + 1, schema.arguments().end(),
      [](const c10::Argument& one) { return one.type()->kind() == c10::TypeKind::TensorType; });
  const bool one_out = schema.returns().size() == 1 &&
                       schema.returns()[0].type()->kind() == c10::TypeKind::TensorType;
  if (tensors == 1 && one_out && sample.is_floating_point()) return {};
  return fail(ErrorCode::unsupported,
              "static int8 is of networks from one float tensor to one, and this takes " +
                  std::to_string(tensors) + (sample.is_floating_point() ? "" : ", of integers,") +
                  " and gives " + (one_out ? "one" : "several"));
}

}  // namespace

Result<std::vector<PlannedLayer>> plan_layers(const Module& module, const torch::Tensor& sample) {
  try {
    OUTCROP_CHECK(check_one_tensor(module, sample));
    const auto graph = inlined_graph(module, "forward");
    std::vector<PlannedLayer> plan;
    Status status;
    for_each_node(graph->block(), [&](Node* node) {
      const std::string kind = node->kind().toQualString();
      if (!status) return;
      const std::string parameter = consumed_parameter(node);
      status = check_node(node, parameter);
      if (status && contains(int8_layers, kind)) {
        PlannedLayer layer;
        layer.name = owner_of(parameter);
        layer.operation = kind.substr(std::string_view("aten::").size());
        plan.push_back(std::move(layer));
      }
    });
    if (!status) return fail(status.error());
    if (plan.empty()) return fail(ErrorCode::unsupported, "there is no layer to quantize");
    OUTCROP_CHECK(measure_layers(module, sample, plan));
    return plan;
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "planning the quantization: " + models::words_of(error));
  }
}

std::map<std::string, int> count_graph_operators(const Module& module, const std::string& method) {
  std::map<std::string, int> counts;
  const auto graph = inlined_graph(module, method);
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
