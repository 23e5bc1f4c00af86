#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/proof_call.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::runtime {

// How far one output is from the golden one, in that output's own unit; the worst of all
// calls. A value that is not finite, or a shape that differs, is an error of prove(), not a
// distance.
struct OutputError {
  std::string name;  // of the golden output
  double mean_abs_error = 0;
  double max_abs_error = 0;
};

struct ProofReport {
  std::size_t calls = 0;
  std::vector<OutputError> outputs;  // each name once, in the order in which calls give them
};

// Makes the calls and compares here, in the parent: the child never judges itself. Fails with
// invalid_data where there is nothing to compare, or where outputs are not finite, of another shape,
// too few or too many.
[[nodiscard]] Result<ProofReport> prove(Runner& runner, std::span<const ProofCall> calls);

// The same comparison for outputs that are already here ("shown" by a quantizer, say).
[[nodiscard]] Result<OutputError> compare(const Tensor& output, const Tensor& golden);

// invalid_data where numbers of an output are none (NaN, infinite): each such output by its place among them,
// with the share. For outputs that nothing golden is known of.
[[nodiscard]] Status check_finite(std::string_view method, std::span<const Tensor> outputs);

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
