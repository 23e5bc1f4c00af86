#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/argument_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {

// SmoothQuant (G. Xiao et al., "SmoothQuant: accurate and efficient post-training quantization for large language models",
// ICML 2023): what a layer norm hands to linear layers is divided by s column by column, and their weights are multiplied by it, so
// that columns far larger than the others take fewer codes of all. s is max|x|^a / max|w|^(1-a), without cost where it goes
// into the norm's own weight and bias. a is, norm by norm, the one of .1, .2, … .9 by which the linear layers' answers, of inputs
// and weights rounded to 8 bits, are off least, or no change at all.
//
// Changes `network` (tensors in, evaluation mode), which answers as before, up to rounding. Of a norm that others read, too, as
// sums around a layer do, linear layers read a copy. Norms whose weights are constants of forward's graph or a child's; linear
// layers that `except` does not name, and of which `axis` says along which axis their weight has scales. Answers the names of
// those layers.
std::vector<std::string> smooth(torch::jit::Module& network, const ArgumentRows& inputs, std::int64_t batch,
                                const std::set<std::string>& except,
                                const std::function<std::optional<std::int64_t>(const LayerCall&)>& axis);

}  // namespace outcrop::quantize
