#pragma once

#include <torch/script.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/argument_rows.hpp"

namespace outcrop::quantize {

// A layer of concatenated inputs as one for each of them: conv(cat(a, b)) = conv_a(a) + conv_b(b), so that
// in int8 each has scales of its own, where one scale over both would leave the smaller no codes ("split
// shortcuts" of X. Li et al., "Q-Diffusion", ICCV 2023, here without any loss of kernels).
//
// Rewrites `network`, which nothing else may share a type with (batch norms folded), where a plain
// convolution without groups, not named in `except`, takes a concatenation of channels whose inputs' spans, as
// `inputs` show them, differ by more than `factor`. Layer "mix" becomes "mix_of_1", "mix_of_2" and so
// on. Answers the layers that were split.
std::vector<std::string> split_concatenations(torch::jit::Module& network, const ArgumentRows& inputs,
                                              std::int64_t batch, double factor,
                                              const std::set<std::string>& except);

}  // namespace outcrop::quantize
