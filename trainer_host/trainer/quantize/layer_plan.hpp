#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/argument_rows.hpp"

namespace outcrop::quantize {

// A layer with weights, or what multiplies without, in the order of execution.
struct PlannedLayer {
  std::string name;       // path of the module that owns its weights: "mix1"; "matmul" of those without
  std::string operation;  // the operator, without its space: "conv2d", "linear", "lstm", "matmul"
  std::int64_t weights = 0;
  std::int64_t biases = 0;
  std::int64_t multiply_adds = 0;  // for one sample
  int calls = 0;                   // for one sample
  std::string inside = "";         // "prim::Loop", where it sits in one; or ""
};

// All of `module.forward(sample…)` that has weights or multiplies matrices, found in its graph and measured
// in one run: a module called twice stands there twice, products without weights once for each operator,
// at the end. The rule is complete: whatever came to a product is there, so that nothing can stay float
// unnoticed. `sample` is a row of each argument. `module` must be in evaluation mode. Throws c10::Error.
[[nodiscard]] std::vector<PlannedLayer> find_layers(const torch::jit::Module& module,
                                                    const std::vector<torch::Tensor>& sample);

// Whether static int8 has kernels for an operation.
[[nodiscard]] bool has_static_kernel(const std::string& operation);

// All of find_layers(), and plan_layers() among them.
struct StaticLayers {
  std::vector<PlannedLayer> int8;
  std::vector<PlannedLayer> all;
};
// Refused as by plan_layers(). `sample` is a row of each argument.
[[nodiscard]] Result<StaticLayers> find_static_layers(const torch::jit::Module& module, const ArgumentRows& sample);

// Those of find_layers() that become int8 in static quantization. Refused by name, unsupported: layers inside
// a loop or branch (the passes do not enter them and say nothing), no layer at all, answers that are neither a tensor nor a
// tuple of tensors.
[[nodiscard]] Result<std::vector<PlannedLayer>> plan_layers(const torch::jit::Module& module, const ArgumentRows& sample);

// How many tensors `module` takes and gives; none of what is no tensor and no tuple of them.
struct Ends {
  std::size_t taken = 0;
  std::size_t given = 0;
};
[[nodiscard]] Ends ends_of(const torch::jit::Module& module);

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
