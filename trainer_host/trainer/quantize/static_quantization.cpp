#include "trainer_host/trainer/quantize/static_quantization.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/quantization/dedup_module_uses.h>
#include <torch/csrc/jit/passes/quantization/finalize.h>
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
#include "trainer_host/trainer/quantize/byte_rows.hpp"
#include "trainer_host/trainer/quantize/observed_network.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using torch::jit::QuantType;

// One of several is "input (2)".
bool is_input(const std::string& tensor) {
  return tensor == "input" || tensor.starts_with("input (");
}

// First of all the one that is first in the order of execution: what is not finite spreads.
Status check_finite(const std::vector<ObservedTensor>& tensors) {
  for (const ObservedTensor& tensor : tensors) {
    if (!statistics_of(tensor.observer)->not_finite()) continue;
    return fail(ErrorCode::invalid_data,
                is_input(tensor.name)
                    ? "inputs to calibrate with hold numbers that are not finite"
                    : "calibrating: what layer '" + tensor.name + "' answers is not finite (NaN or infinite)");
  }
  return {};
}

}  // namespace

Status run_through(Module& observed, const std::vector<ObservedTensor>& tensors,
                   const ArgumentRows& calibration, std::int64_t batch) {
  for (std::int64_t row = 0; row < calibration.size(); row += batch) {
    observed.forward(calibration.slice(row, row + batch).values());
    OUTCROP_CHECK(check_finite(tensors));
  }
  return {};
}

namespace {

std::vector<DegenerateRange> degenerate_ranges(const std::vector<ObservedTensor>& tensors) {
  std::vector<DegenerateRange> found;
  for (const ObservedTensor& tensor : tensors) {
    const ActivationStatistics& statistics = *statistics_of(tensor.observer);
    std::string why = degeneracy_of(statistics.seen());
    if (why.empty()) why = crowding_of(statistics.seen(), std::get<0>(statistics.parameters()).item<double>());
    if (!why.empty()) found.push_back({tensor.name, std::move(why)});
  }
  return found;
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

// A tuple of codes alone goes to floats as a whole, and that operator answers a list: one for each element instead.
void dequantize_each(Module& module) {
  const auto graph = module.get_method("forward").graph();
  auto* whole = graph->outputs().at(0)->node();
  if (whole->kind() != torch::jit::aten::dequantize) return;
  auto* codes = whole->input()->node();
  if (codes->kind() != torch::jit::prim::TupleConstruct) return;
  const torch::jit::WithInsertPoint before(whole);
  std::vector<torch::jit::Value*> floats;
  for (auto* one : codes->inputs()) floats.push_back(graph->insert(torch::jit::aten::dequantize, {one}));
  graph->block()->replaceOutput(0, graph->insertNode(graph->createTuple(floats))->output());
  whole->destroy();
  codes->destroy();
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

Result<QuantizedModule> quantize_static(const Module& network, const ArgumentRows& calibration,
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
    OUTCROP_TRY(layers, plan_layers(folded, calibration.slice(0, 1)));
    const auto plan = without(layers, options.kept_float);

    auto [observed, tensors] = observe(folded, options, WeightForm::as_they_are);
    if (options.ranges.empty()) {
      OUTCROP_CHECK(run_through(observed, tensors, calibration, options.batch));
    } else {
      OUTCROP_CHECK(fix_ranges(tensors, options.ranges));
    }
    OUTCROP_CHECK(check_scales(tensors));
    // In place: copies of statistics are empty.
    Module quantized = torch::jit::InsertQuantDeQuant(observed, "forward", /*inplace=*/true,
                                                      /*debug=*/false, QuantType::STATIC);
    Module finalized = torch::jit::Finalize(quantized, QuantType::STATIC);
    dequantize_each(finalized);
    separate_packed(finalized);
    drop_idle_relus(finalized, options.activations);
    if (options.answer_codes) answer_codes(finalized);
    pack_tables(finalized, options.tables);
    Module finished = reload(finalized);
    name_values_by_order(finished);
    OUTCROP_CHECK(check_against_plan(count_graph_operators(finished, "forward"), plan,
                                     operations_of(layers, options.kept_float)));
    if (!options.ranges.empty()) return QuantizedModule{std::move(finished), plan};
    return QuantizedModule{std::move(finished), plan, degenerate_ranges(tensors)};
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "quantizing: " + models::words_of(error));
  }
}

}  // namespace outcrop::quantize
