#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

namespace outcrop::analyze {

// Shares by layers, values stored and multiply-adds of one row: `float_calls` is the float run, whose
// products without weights count as float; `tensors` are all that the float model stores.
[[nodiscard]] Coverage coverage_of(const std::vector<Layer>& layers, const std::vector<quantize::TracedCall>& float_calls,
                                   const std::map<std::string, torch::Tensor>& tensors);

// What ran on floats between codes, in the quantized run of one row. `names` are those of layers, by their
// call in that run.
[[nodiscard]] std::vector<FloatIsland> islands_of(const std::vector<quantize::TracedCall>& calls,
                                                  const std::map<std::size_t, std::string>& names,
                                                  const std::vector<Layer>& layers);

}  // namespace outcrop::analyze
