#include "trainer_host/trainer/quantize/observed_network.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/quantization/insert_observers.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using torch::jit::QConfig;
using torch::jit::QConfigDict;

bool is_type(const Module& module, const std::string& name) {
  return module.type()->name()->name() == name;
}

// Scale and zero point of a channel take 16 bytes in the file: with more channels than this one
// scale serves all, or the scales would outweigh what int8 saves.
constexpr std::int64_t most_scaled_channels = 4096;

Module weight_module_of(const Module& layer, const std::string& path, const StaticQuantization& options,
                        WeightForm weights) {
  const auto unit = layer._ivalue()->compilation_unit();
  const torch::Tensor weight =
      layer.hasattr("weight") && layer.attr("weight").isTensor() ? layer.attr("weight").toTensor() : torch::Tensor();
  const auto scales = options.weight_scales.find(path);
  const auto make = weights == WeightForm::rounded ? make_weight_rounding : make_weight_observer;
  return make(unit, weight_scale_axis(operation_of(layer), weight, groups_of(layer), options.activations),
              scales == options.weight_scales.end() ? torch::Tensor() : scales->second);
}

// Paths that `kept_float` names have none: the passes leave them alone.
void configure(const Module& module, const std::string& path, const Module& activation,
               const StaticQuantization& options, WeightForm weights, QConfigDict& configuration) {
  for (const auto& child : module.named_children()) {
    const std::string child_path = path.empty() ? child.name : path + "." + child.name;
    if (options.kept_float.contains(child_path)) {
      configuration[child_path] = c10::nullopt;
      continue;
    }
    configuration[child_path] = QConfig{activation, weight_module_of(child.value, child_path, options, weights)};
    configure(child.value, child_path, activation, options, weights, configuration);
  }
}

// One activation observer for all entries: the passes insist on a single one, and clone it for
// each tensor.
QConfigDict configure(const Module& network, const StaticQuantization& options, WeightForm weights) {
  const auto unit = network._ivalue()->compilation_unit();
  const Module activation = make_activation_observer(unit, options.activations, options.range);
  QConfigDict configuration;
  configuration[""] = QConfig{activation, make_weight_observer(unit, 0)};
  configure(network, "", activation, options, weights, configuration);
  return configuration;
}

// Tells observers what becomes of the tensor that they watch: a ReLU behind a transposed
// convolution (which has no fused form) would throw away every negative code.
void limit_observers(const Module& observed, double output_limit) {
  const auto graph = observed.get_method("forward").graph();
  for (const auto* node : graph->nodes()) {
    if (node->kind() != torch::jit::prim::CallMethod) continue;
    const auto* owner = node->input(0)->node();
    if (owner->kind() != torch::jit::prim::GetAttr) continue;
    const Module child = observed.attr(owner->s(torch::jit::attr::name)).toModule();
    ActivationStatistics* statistics = statistics_of(child);
    if (statistics == nullptr) continue;
    const auto& uses = node->output()->uses();
    if (std::all_of(uses.begin(), uses.end(), [](const torch::jit::Use& use) {
          return use.user->kind() == torch::jit::aten::relu;
        })) {
      statistics->limit(0.0, std::numeric_limits<float>::max());
    } else if (node->output() == graph->outputs().at(0)) {
      statistics->limit(-output_limit, output_limit);
    }
  }
}

// The observer that a node calls; "" where it calls none.
std::string called_observer(const torch::jit::Node* node, const Module& observed) {
  if (node->kind() != torch::jit::prim::CallMethod) return {};
  const auto* owner = node->input(0)->node();
  if (owner->kind() != torch::jit::prim::GetAttr) return {};
  const std::string name = owner->s(torch::jit::attr::name);
  return statistics_of(observed.attr(name).toModule()) != nullptr ? name : std::string();
}

// What scales and shifts a norm: kernels take these in float.
void leave_norms_alone(Module observed) {
  static const std::set<std::string> norms{"aten::layer_norm", "aten::group_norm", "aten::instance_norm", "aten::batch_norm"};
  std::set<torch::jit::Node*> calls;
  for (auto* node : observed.get_method("forward").graph()->nodes()) {
    if (!norms.contains(node->kind().toQualString())) continue;
    for (std::size_t i = 1; i < node->inputs().size(); ++i) {
      auto* call = node->input(i)->node();
      if (called_observer(call, observed).empty()) continue;
      node->replaceInput(i, call->input(1));
      calls.insert(call);
    }
  }
  for (auto* call : calls) {
    if (call->hasUses()) continue;
    const std::string name = called_observer(call, observed);
    auto* owner = call->input(0)->node();
    call->destroy();
    owner->destroy();
    observed._ivalue()->unsafeRemoveAttr(name);
    observed.type()->unsafeRemoveAttribute(name);
  }
}

// In int8 these answer in their input's codes; some of what they answer lies between those.
const std::set<std::string>& rounding_operations() {
  static const std::set<std::string> names{
      "aten::avg_pool1d",          "aten::avg_pool2d",          "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d",
      "aten::mean",                "aten::clamp",               "aten::hardtanh",            "aten::relu6",
      "aten::upsample_linear1d",   "aten::upsample_bilinear2d", "aten::leaky_relu"};
  return names;
}

// And these in codes of their own, whatever comes in: LibTorch's kernels have them built in, and no observer chooses.
const std::map<std::string, CodeMap>& fixed_codes() {
  static const CodeMap of_shares{1.0 / 256.0, 0};
  static const std::map<std::string, CodeMap> codes{
      {"aten::sigmoid", of_shares}, {"aten::hardsigmoid", of_shares}, {"aten::tanh", {2.0 / 256.0, 128}}};
  return codes;
}

// And these answer some of the values that they are given.
const std::set<std::string>& keeping_operations() {
  static const std::set<std::string> names{
      "aten::relu",    "aten::max_pool1d", "aten::max_pool2d", "aten::flatten",  "aten::reshape",          "aten::view",
      "aten::squeeze", "aten::unsqueeze",  "aten::transpose",  "aten::permute",  "aten::contiguous",       "aten::dropout",
      "aten::chunk",   "aten::slice",      "aten::select",     "aten::detach",   "aten::upsample_nearest2d"};
  return names;
}

// That in whose codes a value is; "" where it is in none.
std::string observer_of(const torch::jit::Value* value, const Module& observed) {
  const auto* node = value->node();
  const bool keeps = keeping_operations().contains(node->kind().toQualString());
  return keeps ? observer_of(node->input(0), observed) : called_observer(node, observed);
}

bool is_observed(const torch::jit::Value* value, const Module& observed) {
  const auto& uses = value->uses();
  return std::any_of(uses.begin(), uses.end(),
                     [&](const torch::jit::Use& use) { return !called_observer(use.user, observed).empty(); });
}

void round_to(const CodeMap& codes, torch::jit::Node* node) {
  auto* graph = node->owningGraph();
  const torch::jit::WithInsertPoint behind(node->next());
  auto* rounded = graph->insert(c10::Symbol::fromQualString("aten::fake_quantize_per_tensor_affine"),
                                {node->output(), codes.scale, codes.zero_point, 0, 255});
  node->output()->replaceAllUsesAfterNodeWith(rounded->node(), rounded);
}

// Behind operations that round in int8, though no observer stands there: it has nothing to choose.
void round_between(const Module& observed) {
  const auto graph = observed.get_method("forward").graph();
  std::vector<torch::jit::Node*> nodes(graph->nodes().begin(), graph->nodes().end());
  for (torch::jit::Node* node : nodes) {
    const std::string kind = node->kind().toQualString();
    const auto fixed = fixed_codes().find(kind);
    if (fixed == fixed_codes().end() && !rounding_operations().contains(kind)) continue;
    if (node->outputs().size() != 1 || is_observed(node->output(), observed)) continue;
    const std::string name = observer_of(node->input(0), observed);
    if (name.empty()) continue;
    if (fixed != fixed_codes().end()) {
      round_to(fixed->second, node);
      continue;
    }
    const torch::jit::WithInsertPoint behind(node->next());
    auto* observer = graph->insertGetAttr(graph->inputs()[0], name);
    auto* call = graph->create(torch::jit::prim::CallMethod, {observer, node->output()});
    call->s_(torch::jit::attr::name, "rounded");
    call->output()->setType(c10::TensorType::get());
    graph->insertNode(call);
    node->output()->replaceAllUsesAfterNodeWith(call, call->output());
  }
}

// Two of one name are told apart by their places.
void tell_apart(std::vector<ObservedTensor>& tensors) {
  std::map<std::string, int> there;
  for (ObservedTensor& tensor : tensors) {
    const int times = ++there[tensor.name];
    if (times > 1) tensor.name += " (" + std::to_string(times) + ")";
  }
}

}  // namespace

std::string operation_of(const Module& layer) {
  if (is_type(layer, "ConvTranspose2d")) return "conv_transpose2d";
  return is_type(layer, "Linear") ? "linear" : "conv2d";
}

std::optional<std::int64_t> weight_scale_axis(const std::string& operation, const torch::Tensor& weight,
                                              std::int64_t groups, ActivationType activations) {
  const bool transposed = operation == "conv_transpose2d";
  // XNNPACK's kernels for transposed convolutions and linear layers take one scale only.
  if ((transposed || operation == "linear") && activations == ActivationType::qint8) return std::nullopt;
  // QNNPACK's look for a scale for each channel that comes out, and the weight's axis has those of one group.
  if (transposed && groups > 1) return std::nullopt;
  const std::int64_t axis = transposed ? 1 : 0;
  if (!weight.defined() || weight.dim() <= axis) return axis;
  return weight.size(axis) > most_scaled_channels ? std::nullopt : std::optional(axis);
}

ObservedNetwork observe(const Module& folded, const StaticQuantization& options, WeightForm weights) {
  Module network = folded;
  Module observed = torch::jit::InsertObservers(network, "forward", configure(folded, options, weights),
                                                /*inplace=*/false, torch::jit::QuantType::STATIC);
  std::vector<Module> modules;
  for (const Module& one : observed.modules()) {
    if (one.find_method("forward")) modules.push_back(one);
  }
  for (const Module& one : modules) leave_norms_alone(one);
  auto tensors = observed_tensors(observed);
  tell_apart(tensors);
  limit_observers(observed, options.output_limit);
  if (weights == WeightForm::rounded) round_between(observed);
  return {std::move(observed), std::move(tensors)};
}

Status fix_ranges(const std::vector<ObservedTensor>& tensors, const std::map<std::string, CodeMap>& ranges) {
  std::vector<std::string> there;
  for (const ObservedTensor& tensor : tensors) {
    const auto range = ranges.find(tensor.name);
    if (range == ranges.end()) {
      std::vector<std::string> known;
      for (const auto& [name, map] : ranges) known.push_back(name);
      return fail(ErrorCode::internal, "no range was trained for '" + tensor.name + "'; there are: " + join(known, ", "));
    }
    statistics_of(tensor.observer)->fix(range->second);
    there.push_back(tensor.name);
  }
  if (there.size() == ranges.size()) return {};
  return fail(ErrorCode::internal, std::to_string(ranges.size()) + " ranges were trained, and there are tensors for " +
                                       std::to_string(there.size()) + ": " + join(there, ", "));
}

}  // namespace outcrop::quantize
