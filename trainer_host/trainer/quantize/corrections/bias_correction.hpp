#pragma once

#include <torch/script.h>

#include <functional>
#include <optional>
#include <string>

#include "trainer_host/trainer/quantize/argument_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {

// A layer's weight as int8 will have it, in floats.
using RoundedWeight = std::function<torch::Tensor(const LayerCall& call)>;

// Empirical bias correction (M. Nagel et al., ICCV 2019, section 4.2): rounded weights move the mean of what
// a channel answers by what they make of the mean input; each bias takes that back.
//
// Changes biases of `network` (batch norms folded); layers without one stay as they are, and those for
// which `rounded` answers nothing defined. `inputs` run through float once. Answers how many
// biases changed.
std::size_t correct_biases(torch::jit::Module& network, const ArgumentRows& inputs, std::int64_t batch,
                           const RoundedWeight& rounded);

}  // namespace outcrop::quantize
