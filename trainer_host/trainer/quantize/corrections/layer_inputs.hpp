#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <string>

#include "trainer_host/trainer/quantize/argument_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {

// Runs `inputs` through a float network, a batch at a time, and shows what each of its layers (as
// layer_calls has them) is given; of a linear layer [n, columns], wherever its samples lay.
void visit_layer_inputs(const torch::jit::Module& network, const ArgumentRows& inputs, std::int64_t batch,
                        const std::function<void(const LayerCall& call, const torch::Tensor& x)>& visit);

}  // namespace outcrop::quantize
