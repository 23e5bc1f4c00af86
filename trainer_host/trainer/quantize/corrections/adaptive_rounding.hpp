#pragma once

#include <torch/script.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "trainer_host/trainer/quantize/argument_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {

struct AdaptiveRounding {
  int iterations = 500;  // of Adam, for each layer
  std::int64_t batch = 16;
  // Layers for which it is too late are rounded to the nearest code: with a limit that is met, the same inputs
  // may give other bytes.
  std::chrono::seconds longest{600};
  std::function<void(const std::string& layer, double share)> progress{};  // of all layers
};

// The axis along which a layer's weight has scales of its own; none: one for all.
using ScaleAxis = std::function<std::optional<std::int64_t>(const LayerCall& call)>;

// AdaRound (M. Nagel et al., "Up or down? Adaptive rounding for post-training quantization", ICML 2020): of each
// weight whether it becomes the code above or the one below, by what the layer answers for the inputs it
// really gets, instead of by which is nearer. Adam over a continuous share of the way up, pushed to 0 or 1 as the
// paper does. A layer stays rounded to nearest where that measures no worse on all of its inputs.
//
// Makes the weights of `network` (batch norms folded) multiples of their scales, which are answered by the
// layer's name, for whoever quantizes. Layers that `skip` says are left alone. `inputs` run through
// once and are kept for each layer: see that they are few.
std::map<std::string, torch::Tensor> round_adaptively(torch::jit::Module& network, const ArgumentRows& inputs,
                                                      const AdaptiveRounding& how, const ScaleAxis& axis_of,
                                                      const std::function<bool(const LayerCall&)>& skip);

}  // namespace outcrop::quantize
