#include "trainer_host/trainer/quantize/calibrated_inputs.hpp"

#include <algorithm>

#include "trainer_host/trainer/quantize/argument_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;

constexpr std::int64_t most_rows = 256;
constexpr std::int64_t rows_at_once = 16;
constexpr std::int64_t most_patches = 4096;  // of one layer in one batch

Tensor some_of(const Tensor& patches) {
  return ArgumentRows(patches).evenly_chosen(most_patches).arguments().front();
}

// [n, columns]: what the weight of this call is multiplied with.
Tensor matrix_of(const OperatorCounter::Call& call) {
  const Tensor input = call.inputs[0].toTensor();
  if (call.name == "aten::linear") return some_of(input.reshape({-1, input.size(-1)}));
  const Tensor weight = call.inputs[1].toTensor();
  const auto patches = torch::im2col(input, weight.sizes().slice(2), call.inputs[5].toIntVector(),
                                     call.inputs[4].toIntVector(), call.inputs[3].toIntVector());
  return some_of(patches.transpose(1, 2).reshape({-1, patches.size(1)}));
}

}  // namespace

bool has_seen_inputs(const PlannedLayer& layer, const Module& module) {
  if (layer.operation == "linear") return true;
  return layer.operation == "conv2d" && groups_of(module) == 1;
}

Result<std::map<std::string, LayerInputs>> inputs_of(const LayeredPart& part,
                                                     const std::vector<Tensor>& calibration) {
  const torch::NoGradGuard no_grad;
  std::map<const void*, std::string> names;
  std::map<std::string, LayerInputs> inputs;
  for (const PlannedLayer& layer : part.layers) {
    if (layer.weights == 0) continue;
    const Module module = part.network.attr(layer.name).toModule();
    if (!has_seen_inputs(layer, module)) continue;
    const Tensor weight = module.attr("weight").toTensor();
    names[weight.data_ptr()] = layer.name;
    inputs.emplace(layer.name, LayerInputs(weight[0].numel()));
  }
  Module network = part.network;
  const ArgumentRows rows = ArgumentRows(calibration).slice(0, most_rows);
  for (std::int64_t first = 0; first < rows.size(); first += rows_at_once) {
    OperatorCounter counter({"aten::linear", "aten::conv2d"});
    network.forward(rows.slice(first, first + rows_at_once).values());
    for (const OperatorCounter::Call& call : counter.finish()) {
      if (call.inputs.size() < 2 || !call.inputs[1].isTensor()) continue;
      const auto name = names.find(call.inputs[1].toTensor().data_ptr());
      if (name == names.end()) continue;
      if (auto status = inputs.at(name->second).add(matrix_of(call)); !status) {
        return fail(ErrorCode::diverged, "the input of layer '" + name->second + "': " + status.error().message());
      }
    }
  }
  return inputs;
}

}  // namespace outcrop::quantize
