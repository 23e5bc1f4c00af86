#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <memory>
#include <vector>

namespace outcrop::models {

// Python's modules ask much, of which branch over branch hangs: how many axes a tensor has, of what type it is, whether
// two are one, how long a list will be. Which of their layers run is the same for all rows: of `example`, arguments of
// forward without those that have defaults, what all rows share becomes constant, and branches that hang on it are gone.
// Loops that make numbers alone are written out. `graph` is that of `network`'s forward, inlined.
void decide_branches(std::shared_ptr<torch::jit::Graph>& graph, const torch::jit::Module& network,
                     const std::vector<torch::Tensor>& example);

// Where no gradients are wanted, torch.nn has whole layers of attention in one operation, whose parts are nowhere: they
// are as in training, apart.
void take_apart(torch::jit::Graph& graph);

}  // namespace outcrop::models
