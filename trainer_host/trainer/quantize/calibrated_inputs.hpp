#pragma once

#include <map>
#include <string>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"

namespace outcrop::quantize {

// Whether what a layer's weight is multiplied with can be seen as rows of a matrix: linear, and conv2d with one
// group (its patches).
[[nodiscard]] bool has_seen_inputs(const PlannedLayer& layer, const torch::jit::Module& module);

// What such layers of a part were given while its calibration rows ran through in float, by their names.
// Of a convolution's patches as many as keep a batch small, evenly chosen. diverged names a layer whose input
// is not finite. Throws c10::Error.
[[nodiscard]] Result<std::map<std::string, LayerInputs>> inputs_of(const LayeredPart& part,
                                                                   const std::vector<torch::Tensor>& calibration);

}  // namespace outcrop::quantize
