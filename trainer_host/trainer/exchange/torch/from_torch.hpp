#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

struct TorchCall {
  std::string method = "forward";
  std::vector<std::string> arguments;  // their names
  std::vector<c10::IValue> example;    // for each; sizes of tensors are those that the graph gets
  std::vector<std::string> outputs{};  // names of all; where empty "output", or "output_1", … of a tuple
  std::vector<std::string> wanted{};   // of them; all where empty
};

// A method of a module, float or quantized, in evaluation mode, as a graph for inputs of the example's sizes. The module is
// run with the example, operator by operator: what depends on sizes alone becomes constant, and a branch that does so is
// decided. What is multiplied by nought is nought, so that a look for NaN in an input is left out.
//
// unsupported names the operator that has no place in a graph, and of which output: loops, branches that values decide,
// changes in place, operators without an entry (operators.hpp). What no wanted output needs may be anything.
[[nodiscard]] Result<Graph> graph_of(const torch::jit::Module& module, const TorchCall& call);

}  // namespace outcrop::exchange
