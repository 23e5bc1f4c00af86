#pragma once

#include <torch/script.h>

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/batch_norm.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {

struct StaticQuantization {
  ActivationType activations = ActivationType::qint8;
  RangeSearch range = RangeSearch::squared_error;
  // Seen for ranges a batch at a time.
  std::int64_t batch = 16;
  // Whoever reads the output clamps it to ± this: no codes are spent beyond.
  double output_limit = std::numeric_limits<float>::max();
  // The module, of one output, answers the quantized tensor that it ends with, for a caller that knows what its
  // codes mean; else floats.
  bool answer_codes = false;
  // Layers that stay float, by their paths; the way to floats and back is put around them.
  std::set<std::string> kept_float{};
  // Scales of layers' weights, by their paths, as choose_weight_scales answers them; others' are searched.
  std::map<std::string, torch::Tensor> weight_scales{};
  // Tables, by a name for each, that are looked up in bytes (byte_rows.hpp).
  std::map<std::string, torch::Tensor> tables{};
  // Of codes from 0 up, of all tensors by their names (observed_network.hpp), where they were trained: nothing is
  // calibrated then.
  std::map<std::string, CodeMap> ranges{};
};

// The axis of a layer's weight along which its kernels take a scale for each slice; none: they take one,
// or one serves better (observed_network.cpp).
[[nodiscard]] std::optional<std::int64_t> weight_scale_axis(const std::string& operation,
                                                            const torch::Tensor& weight,
                                                            std::int64_t groups,
                                                            ActivationType activations);

struct QuantizedModule {
  torch::jit::Module module;  // reloaded from its own bytes: weights are held once
  std::vector<PlannedLayer> plan;
  std::vector<DegenerateRange> degenerate_ranges{};  // in the order of execution
};

// Post-training static int8 of one network by LibTorch's graph-mode passes: fold batch norm,
// observe while `calibration` runs through, quantize. Activations per tensor; weights
// symmetric, per channel where the kernels allow it (QNNPACK: everywhere; XNNPACK: plain
// convolutions) and the scales do not outweigh the weights. Each call site owns its packed weights.
// `network` (tensors in, a tensor or a tuple of them out, evaluation mode, float) is not changed. All layers
// but those that are kept float are int8 in the result or the call fails and names what is not; see
// plan_layers for what is refused. invalid_data names the layer whose answers are not finite while
// calibrating. Needs the engine "qnnpack" and sets it for the process.
[[nodiscard]] Result<QuantizedModule> quantize_static(const torch::jit::Module& network,
                                                      const ArgumentRows& calibration,
                                                      const StaticQuantization& options);

// Saved and loaded again in memory. After the passes a module still holds its float weights, and
// saving it for mobile directly would store them beside the packed ones.
[[nodiscard]] torch::jit::Module reload(const torch::jit::Module& module);

}  // namespace outcrop::quantize
