#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// One call of a layer that is to run in int8, in the order of execution.
struct PlannedLayer {
  std::string name;       // path of the module that owns its weight: "mix1"
  std::string operation;  // "conv2d", "conv_transpose2d" or "linear"
  std::int64_t weights = 0;
  std::int64_t biases = 0;
  std::int64_t multiply_adds = 0;  // for one sample
};

// Every layer of `module.forward(sample)`, found in its graph and measured in one run.
// The rule is complete: whatever consumes a parameter or multiplies matrices is either a layer
// with an int8 kernel or the reason for a refusal, so that nothing can stay float unnoticed.
// Refused by name: operators without an int8 kernel, layers inside a loop or branch (the passes
// do not enter them and say nothing), a batch norm that was not folded.
// `sample` is a batch of one. `module` must be in evaluation mode.
[[nodiscard]] Result<std::vector<PlannedLayer>> plan_layers(const torch::jit::Module& module,
                                                            const torch::Tensor& sample);

// How often `forward`'s graph, with all it calls, holds each operator; "prim::" ones left out.
// A graph without loops and branches only: each node is executed once.
[[nodiscard]] std::map<std::string, int> count_graph_operators(const torch::jit::Module& module,
                                                               const std::string& method);

// How many of the layers with these names there are of each operation.
[[nodiscard]] std::map<std::string, int> operations_of(const std::vector<PlannedLayer>& layers,
                                                       const std::set<std::string>& names);

// Compares what a quantized graph (or a run of it) holds with the plan: as many int8 operators of
// each kind as planned, and no more float layers than were to stay float. The error names what
// differs.
[[nodiscard]] Status check_against_plan(const std::map<std::string, int>& operators,
                                        const std::vector<PlannedLayer>& plan,
                                        const std::map<std::string, int>& planned_float = {});

// The operator that a planned operation becomes, e.g. quantized::conv2d_relu for conv2d: answers
// "conv2d", "conv_transpose2d" or "linear" for an int8 layer, "" for anything else.
[[nodiscard]] std::string planned_operation_of(const std::string& quantized_operator);

}  // namespace outcrop::quantize
