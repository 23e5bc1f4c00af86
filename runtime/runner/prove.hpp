#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::runtime {

// How far one output is from the golden one, in that output's own unit; the worst of all
// latents. A value that is not finite, or a shape that differs, is an error of prove(), not a
// distance.
struct OutputError {
  std::string name;  // of the golden output: "velocity", "seismic"
  double mean_abs_error = 0;
  double max_abs_error = 0;
};

struct ProofReport {
  std::size_t latents = 0;
  std::vector<OutputError> outputs;  // in the order of the golden outputs
};

// That there are golden inputs and outputs, all with the same number of latents, one or more, as
// their first dimension; else invalid_data.
[[nodiscard]] Status check_goldens(std::span<const Tensor> inputs, std::span<const Tensor> outputs);

// Sends the golden inputs one row at a time and compares here, in the parent: the child never
// judges itself. Every golden tensor has the latents along its first dimension; the k-th golden
// output belongs to the k-th output of `method`. Fails with invalid_data where outputs are not
// finite, of another shape or too few.
[[nodiscard]] Result<ProofReport> prove(Runner& runner, std::string_view method,
                                        std::span<const Tensor> golden_inputs,
                                        std::span<const Tensor> golden_outputs);

// The same comparison for outputs that are already here ("shown" by a quantizer, say).
[[nodiscard]] Result<OutputError> compare(const Tensor& output, const Tensor& golden);

// What is allowed for an output; both bounds are inclusive.
struct Tolerance {
  std::string name;
  double mean_abs_error = 0;
  double max_abs_error = 0;
};

// Fails with refused, naming output, error and bound, unless every output is within its
// tolerance; an output without a tolerance fails, too.
[[nodiscard]] Status check_tolerances(const ProofReport& report,
                                      std::span<const Tolerance> tolerances);

}  // namespace outcrop::runtime
