#include "trainer_host/trainer/quantize/batch_norm.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/fold_conv_bn.h>

#include <map>
#include <optional>
#include <string>

#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;
using torch::jit::Node;

// y = x · factor + shift, for each channel.
struct PerChannel {
  Tensor factor;
  Tensor shift;
};

PerChannel per_channel(const std::optional<Tensor>& weight, const std::optional<Tensor>& bias, const Tensor& mean,
                       const Tensor& variance, double epsilon) {
  PerChannel result;
  result.factor = torch::rsqrt(variance + epsilon);
  if (weight) result.factor = result.factor * *weight;
  result.shift = -mean * result.factor;
  if (bias) result.shift = result.shift + *bias;
  return result;
}

const Node* find_batch_norm(const torch::jit::Block* block) {
  for (const Node* node : block->nodes()) {
    if (node->kind() == torch::jit::aten::batch_norm) return node;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (const Node* found = find_batch_norm(inner)) return found;
    }
  }
  return nullptr;
}

std::optional<Tensor> tensor_attribute(const Module& module, const char* name) {
  if (!module.hasattr(name) || !module.attr(name).isTensor()) return std::nullopt;
  return module.attr(name).toTensor().detach();
}

// A child that is a batch norm, as torch.nn has it.
std::optional<PerChannel> norm_of_child(const Node* call, const Module& owner) {
  const Node* get = call->input(0)->node();
  if (get->kind() != torch::jit::prim::GetAttr) return std::nullopt;
  const Module child = owner.attr(get->s(torch::jit::attr::name)).toModule();
  const std::string type = child.type()->name()->name();
  if (type.find("BatchNorm") == std::string::npos) return std::nullopt;
  const auto mean = tensor_attribute(child, "running_mean");
  const auto variance = tensor_attribute(child, "running_var");
  const Node* norm = find_batch_norm(child.get_method("forward").graph()->block());
  if (!mean || !variance || norm == nullptr) return std::nullopt;
  auto epsilon = torch::jit::toIValue(norm->input(7));
  if (!epsilon && child.hasattr("eps")) epsilon = child.attr("eps");
  if (!epsilon || !epsilon->isDouble()) return std::nullopt;
  return per_channel(tensor_attribute(child, "weight"), tensor_attribute(child, "bias"), *mean, *variance,
                     epsilon->toDouble());
}

// A batch norm of constants, as layered forms have it.
std::optional<PerChannel> norm_of_constants(const Node* node) {
  const auto constant = [&](std::size_t i) { return torch::jit::toIValue(node->input(i)); };
  const auto tensor = [&](std::size_t i) -> std::optional<Tensor> {
    const auto value = constant(i);
    return value && value->isTensor() ? std::optional(value->toTensor()) : std::nullopt;
  };
  const auto training = constant(5);
  const auto epsilon = constant(7);
  const bool known = constant(1) && constant(2) && tensor(3) && tensor(4);
  if (!known || !training || training->toBool() || !epsilon) return std::nullopt;
  return per_channel(tensor(1), tensor(2), *tensor(3), *tensor(4), epsilon->toDouble());
}

std::optional<PerChannel> norm_of(const Node* node, const Module& owner) {
  if (node->kind() == torch::jit::prim::CallMethod) return norm_of_child(node, owner);
  if (node->kind() == torch::jit::aten::batch_norm) return norm_of_constants(node);
  return std::nullopt;
}

// Channels that come out lie along axis 1 within each group, and groups along axis 0.
void fold_into(LayerCall& call, const PerChannel& norm) {
  const Tensor weight = call.weight();
  const std::int64_t groups = call.groups();
  const Tensor grouped = weight.reshape({groups, weight.size(0) / groups, weight.size(1), -1});
  const Tensor folded = grouped * norm.factor.reshape({groups, 1, weight.size(1), 1});
  const auto bias = call.bias();
  call.set_weight(folded.reshape(weight.sizes()));
  call.set_bias(bias ? *bias * norm.factor + norm.shift : norm.shift);
}

void fold_transposed(const Module& network) {
  // What has a type together with others shares its graph with them, too.
  std::map<const void*, int> of_type;
  for (const Module& module : network.modules()) ++of_type[module.type().get()];
  for (const Module& module : network.modules()) {
    if (of_type[module.type().get()] > 1 || !module.find_method("forward")) continue;
    for (LayerCall& call : layer_calls(module)) {
      const auto& uses = call.call->output()->uses();
      if (!call.transposed() || uses.size() != 1 || of_type[call.module.type().get()] > 1) continue;
      Node* user = uses[0].user;
      const auto norm = norm_of(user, module);
      if (!norm) continue;
      fold_into(call, *norm);
      user->output()->replaceAllUsesWith(call.call->output());
      user->destroy();
    }
  }
}

}  // namespace

Module fold_batch_norm(const Module& network) {
  const torch::NoGradGuard no_gradient;
  Module copy = network.deepcopy();
  copy.eval();
  Module folded = torch::jit::FoldConvBatchNorm(copy);
  fold_transposed(folded);
  return folded;
}

}  // namespace outcrop::quantize
