#include "trainer_host/trainer/quantize/static_quantization.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/quantization/dedup_module_uses.h>
#include <torch/csrc/jit/passes/quantization/finalize.h>
#include <torch/csrc/jit/passes/quantization/insert_observers.h>
#include <torch/csrc/jit/passes/quantization/insert_quant_dequant.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using torch::jit::QConfig;
using torch::jit::QConfigDict;
using torch::jit::QuantType;

bool is_type(const Module& module, const std::string& name) {
  return module.type()->name()->name() == name;
}

// Scale and zero point of a channel take 16 bytes in the file: with more channels than this one
// scale serves all, or the scales would outweigh what int8 saves.
constexpr std::int64_t most_scaled_channels = 4096;

std::string operation_of(const Module& layer) {
  if (is_type(layer, "ConvTranspose2d")) return "conv_transpose2d";
  return is_type(layer, "Linear") ? "linear" : "conv2d";
}

Module weight_observer_of(const Module& layer, const std::string& path, const StaticQuantization& options) {
  const auto unit = layer._ivalue()->compilation_unit();
  const torch::Tensor weight =
      layer.hasattr("weight") && layer.attr("weight").isTensor() ? layer.attr("weight").toTensor() : torch::Tensor();
  const auto scales = options.weight_scales.find(path);
  return make_weight_observer(unit, weight_scale_axis(operation_of(layer), weight, groups_of(layer), options.activations),
                              scales == options.weight_scales.end() ? torch::Tensor() : scales->second);
}

// Paths that `kept_float` names have none: the passes leave them alone.
void configure(const Module& module, const std::string& path, const Module& activation,
               const StaticQuantization& options, QConfigDict& configuration) {
  for (const auto& child : module.named_children()) {
    const std::string child_path = path.empty() ? child.name : path + "." + child.name;
    if (options.kept_float.contains(child_path)) {
      configuration[child_path] = c10::nullopt;
      continue;
    }
    configuration[child_path] = QConfig{activation, weight_observer_of(child.value, child_path, options)};
    configure(child.value, child_path, activation, options, configuration);
  }
}

// One activation observer for all entries: the passes insist on a single one, and clone it for
// each tensor.
QConfigDict configure(const Module& network, const StaticQuantization& options) {
  const auto unit = network._ivalue()->compilation_unit();
  const Module activation = make_activation_observer(unit, options.activations, options.range);
  QConfigDict configuration;
  configuration[""] = QConfig{activation, make_weight_observer(unit, 0)};
  configure(network, "", activation, options, configuration);
  return configuration;
}

// First of all the one that is first in the order of execution: what is not finite spreads.
Status check_finite(const std::vector<ObservedTensor>& tensors) {
  for (const ObservedTensor& tensor : tensors) {
    if (!statistics_of(tensor.observer)->not_finite()) continue;
    return fail(ErrorCode::invalid_data,
                tensor.name == "input"
                    ? "inputs to calibrate with hold numbers that are not finite"
                    : "calibrating: what layer '" + tensor.name + "' answers is not finite (NaN or infinite)");
  }
  return {};
}

Status run_through(Module& observed, const std::vector<ObservedTensor>& tensors,
                   const torch::Tensor& calibration, std::int64_t batch) {
  for (std::int64_t row = 0; row < calibration.size(0); row += batch) {
    observed.forward({calibration.slice(0, row, std::min(row + batch, calibration.size(0)))});
    OUTCROP_CHECK(check_finite(tensors));
  }
  return {};
}

std::vector<DegenerateRange> degenerate_ranges(const std::vector<ObservedTensor>& tensors) {
  std::vector<DegenerateRange> found;
  for (const ObservedTensor& tensor : tensors) {
    std::string why = degeneracy_of(statistics_of(tensor.observer)->seen());
    if (!why.empty()) found.push_back({tensor.name, std::move(why)});
  }
  return found;
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

// A ReLU of codes that cannot be below zero, since zero is the lowest there is, as limit_observers
// has it behind transposed convolutions.
bool changes_nothing(const torch::jit::Node* node, std::int64_t lowest_code) {
  if (node->kind() != torch::jit::aten::relu) return false;
  const auto* source = node->input()->node();
  if (source->kind().toQualString() != std::string("quantized::conv_transpose2d")) return false;
  const auto zero_point = torch::jit::toIValue(source->input(3));
  return zero_point && zero_point->toInt() == lowest_code;
}

void drop_idle_relus(Module& module, ActivationType activations) {
  const std::int64_t lowest_code = activations == ActivationType::qint8 ? -128 : 0;
  const auto graph = module.get_method("forward").graph();
  for (auto node = graph->nodes().begin(); node != graph->nodes().end(); ++node) {
    if (!changes_nothing(*node, lowest_code)) continue;
    node->output()->replaceAllUsesWith(node->input());
    node.destroyCurrent();
  }
}

// The passes end a graph with the way back to float.
void answer_codes(Module& module) {
  const auto graph = module.get_method("forward").graph();
  auto* dequantize = graph->outputs().at(0)->node();
  TORCH_CHECK(dequantize->kind() == torch::jit::aten::dequantize, "ends in ",
              dequantize->kind().toQualString(), ", not in a quantized tensor");
  graph->block()->replaceOutput(0, dequantize->input());
  dequantize->destroy();
}

std::vector<PlannedLayer> without(const std::vector<PlannedLayer>& layers,
                                  const std::set<std::string>& names) {
  std::vector<PlannedLayer> rest;
  for (const PlannedLayer& layer : layers) {
    if (!names.contains(layer.name)) rest.push_back(layer);
  }
  return rest;
}

// A packed object keeps the output's scale of its first call: called with the same input scale and another
// output's, it is wrong in silence. The passes let equal weights share one; here each call gets its own.
void separate_packed(Module& module) {
  const auto graph = module.get_method("forward").graph();
  std::map<std::string, int> calls;
  for (auto* node : graph->nodes()) {
    if (node->kind() != torch::jit::prim::GetAttr) continue;
    const std::string name = node->s(torch::jit::attr::name);
    if (name.find("packed") == std::string::npos) continue;
    const auto uses = node->output()->uses();  // a copy: they change
    for (const torch::jit::Use& use : uses) {
      const int call = ++calls[name];
      if (call == 1) continue;
      const std::string own = name + "_call_" + std::to_string(call);
      module.register_attribute(own, node->output()->type(), module.attr(name).deepcopy());
      const torch::jit::WithInsertPoint before(use.user);
      use.user->replaceInput(use.offset, graph->insertGetAttr(graph->inputs().at(0), own));
    }
  }
}

// QNNPACK's clamp answers in the usual order of memory, whatever its input's is, so that channels come out
// mixed behind a convolution: it is given what lies in that order.
void give_clamps_what_lies_in_order(const Module& module) {
  for (const Module& one : module.modules()) {
    const auto forward = one.find_method("forward");
    if (!forward) continue;
    const auto graph = forward->graph();
    for (auto node = graph->nodes().begin(); node != graph->nodes().end(); ++node) {
      const std::string kind = node->kind().toQualString();
      if (kind != "aten::hardtanh" && kind != "aten::relu6" && kind != "aten::clamp") continue;
      const torch::jit::WithInsertPoint before(*node);
      auto* ordered = graph->insert(c10::Symbol::fromQualString("aten::contiguous"), {node->input(0)});
      node->replaceInput(0, ordered);
    }
  }
}

// The passes name values in the order of a hash table over addresses, and names end up in the
// file: without this the same weights give other bytes in the next process.
void name_values_by_order(Module& module) {
  int number = 0;
  for (auto* node : module.get_method("forward").graph()->nodes()) {
    for (auto* output : node->outputs()) output->setDebugName(c10::str("v", number++));
  }
}

}  // namespace

Module reload(const Module& module) {
  std::stringstream bytes;
  module.save(bytes);
  return torch::jit::load(bytes);
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

// Kernels end the process where what they multiply sums by is below 2^-32: input scale · weight scale / output scale,
// weight scales being 2^-12 at least.
Status check_scales(const std::vector<ObservedTensor>& tensors) {
  constexpr double farthest_apart = 1 << 20;
  std::pair<double, std::string> least{std::numeric_limits<double>::infinity(), ""};
  std::pair<double, std::string> most{0.0, ""};
  for (const ObservedTensor& one : tensors) {
    const ActivationStatistics* statistics = statistics_of(one.observer);
    if (statistics == nullptr) continue;
    const double scale = std::get<0>(statistics->parameters()).item<double>();
    if (scale < least.first) least = {scale, one.name};
    if (scale > most.first) most = {scale, one.name};
  }
  if (most.first <= farthest_apart * least.first) return {};
  return fail(ErrorCode::unsupported, "values of '" + most.second + "' are " + c10::str(most.first / least.first) +
                                          " times as large as those of '" + least.second +
                                          "': kernels for int8 do not reach that far");
}

Result<QuantizedModule> quantize_static(const Module& network, const torch::Tensor& calibration,
                                        const StaticQuantization& options) {
  try {
    models::prepare_engine();
    const torch::NoGradGuard no_grad;
    // Each graph runs a few times only: optimizing it costs more than it brings.
    const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
    // Not a deepcopy: that shares its type with `network`, and the passes change types.
    Module copy = reload(network);
    copy.eval();
    if (options.activations == ActivationType::quint8) give_clamps_what_lies_in_order(copy);
    torch::jit::DedupModuleUses(copy);
    Module folded = fold_batch_norm(copy);
    OUTCROP_TRY(layers, plan_layers(folded, calibration.slice(0, 0, 1)));
    const auto plan = without(layers, options.kept_float);

    Module observed = torch::jit::InsertObservers(folded, "forward", configure(folded, options),
                                                  /*inplace=*/false, QuantType::STATIC);
    const auto tensors = observed_tensors(observed);
    limit_observers(observed, options.output_limit);
    OUTCROP_CHECK(run_through(observed, tensors, calibration, options.batch));
    OUTCROP_CHECK(check_scales(tensors));
    // In place: copies of statistics are empty.
    Module quantized = torch::jit::InsertQuantDeQuant(observed, "forward", /*inplace=*/true,
                                                      /*debug=*/false, QuantType::STATIC);
    Module finalized = torch::jit::Finalize(quantized, QuantType::STATIC);
    separate_packed(finalized);
    drop_idle_relus(finalized, options.activations);
    if (options.answer_codes) answer_codes(finalized);
    Module finished = reload(finalized);
    name_values_by_order(finished);
    OUTCROP_CHECK(check_against_plan(count_graph_operators(finished, "forward"), plan,
                                     operations_of(layers, options.kept_float)));
    return QuantizedModule{std::move(finished), plan, degenerate_ranges(tensors)};
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "quantizing: " + models::words_of(error));
  }
}

}  // namespace outcrop::quantize
