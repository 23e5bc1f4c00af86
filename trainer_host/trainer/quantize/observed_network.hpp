#pragma once

#include <torch/script.h>

#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {

enum class WeightForm {
  as_they_are,  // observed
  rounded,      // to the values of their codes, gradients straight through
};

// A network with observers behind every tensor that static int8 makes codes of, put there by LibTorch's own passes:
// whoever trains through them trains what conversion makes.
struct ObservedNetwork {
  torch::jit::Module module;
  std::vector<ObservedTensor> tensors;  // in the order of execution, each with a name of its own
};

// `folded`: in evaluation mode, without batch norms that fold, each module of a type of its own; unchanged. Throws
// c10::Error.
[[nodiscard]] ObservedNetwork observe(const torch::jit::Module& folded, const StaticQuantization& options,
                                      WeightForm weights);

// Gives each tensor its range, of codes from 0 up. internal, by name, unless they are of the same tensors.
[[nodiscard]] Status fix_ranges(const std::vector<ObservedTensor>& tensors,
                                const std::map<std::string, CodeMap>& ranges);

// Lets observers see `calibration` a batch at a time. invalid_data names the layer whose answers are not finite.
[[nodiscard]] Status run_through(torch::jit::Module& observed, const std::vector<ObservedTensor>& tensors,
                                 const ArgumentRows& calibration, std::int64_t batch);

// Of a child that is a layer: "conv2d", "conv_transpose2d", "linear".
[[nodiscard]] std::string operation_of(const torch::jit::Module& layer);

}  // namespace outcrop::quantize
