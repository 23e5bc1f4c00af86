#include "runtime/runner/prove.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace outcrop::runtime {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

Status check_goldens(std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  if (inputs.empty() || outputs.empty()) {
    return fail(ErrorCode::invalid_data, "a proof needs golden inputs and golden outputs");
  }
  for (const auto tensors : {inputs, outputs}) {
    for (const Tensor& tensor : tensors) {
      OUTCROP_CHECK(check_size(tensor));
      if (tensor.shape.empty() || tensor.shape[0] < 1 || tensor.shape[0] != inputs[0].shape.at(0)) {
        return fail(ErrorCode::invalid_data,
                    "golden '" + tensor.name + "' is " + describe(tensor) +
                        "; all need the same number of latents as their first dimension");
      }
    }
  }
  return {};
}

Result<OutputError> compare(const Tensor& output, const Tensor& golden) {
  if (output.dtype != DType::float32 || golden.dtype != DType::float32 ||
      output.shape != golden.shape || golden.data.empty()) {
    return fail(ErrorCode::invalid_data, "output '" + golden.name + "' is " + describe(output) +
                                             ", its golden one is " + describe(golden));
  }
  OUTCROP_CHECK(check_size(output));
  OutputError error{golden.name, 0, 0};
  const auto shown = output.floats();
  const auto expected = golden.floats();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!std::isfinite(shown[i]) || !std::isfinite(expected[i])) {
      return fail(ErrorCode::invalid_data, "output '" + golden.name +
                                               "' has a value that is not finite at element " +
                                               std::to_string(i));
    }
    const double distance = std::abs(static_cast<double>(shown[i]) - expected[i]);
    error.mean_abs_error += distance;
    error.max_abs_error = std::max(error.max_abs_error, distance);
  }
  error.mean_abs_error /= static_cast<double>(expected.size());
  return error;
}

Result<ProofReport> prove(Runner& runner, std::string_view method,
                          std::span<const Tensor> golden_inputs,
                          std::span<const Tensor> golden_outputs) {
  OUTCROP_CHECK(check_goldens(golden_inputs, golden_outputs));
  ProofReport report;
  for (const Tensor& golden : golden_outputs) report.outputs.push_back({golden.name, 0, 0});
  for (std::int64_t latent = 0; latent < golden_inputs[0].shape[0]; ++latent) {
    std::vector<Value> arguments;
    for (const Tensor& input : golden_inputs) arguments.emplace_back(input.row(latent));
    OUTCROP_TRY(outputs, runner.infer(method, arguments));
    if (outputs.size() != golden_outputs.size()) {
      return fail(ErrorCode::invalid_data, "the model gave " + std::to_string(outputs.size()) +
                                               " outputs, the proof has " +
                                               std::to_string(golden_outputs.size()));
    }
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      OUTCROP_TRY(error, compare(outputs[k], golden_outputs[k].row(latent)));
      OutputError& worst = report.outputs[k];
      worst.mean_abs_error = std::max(worst.mean_abs_error, error.mean_abs_error);
      worst.max_abs_error = std::max(worst.max_abs_error, error.max_abs_error);
    }
    ++report.latents;
  }
  return report;
}

Status check_tolerances(const ProofReport& report, std::span<const Tolerance> tolerances) {
  for (const OutputError& error : report.outputs) {
    const auto bound = std::find_if(tolerances.begin(), tolerances.end(),
                                    [&](const Tolerance& t) { return t.name == error.name; });
    if (bound == tolerances.end()) {
      return fail(ErrorCode::refused, "output '" + error.name + "' has no tolerance");
    }
    // Written so that a bound or error that is not a number fails.
    if (!(error.mean_abs_error <= bound->mean_abs_error) ||
        !(error.max_abs_error <= bound->max_abs_error)) {
      return fail(ErrorCode::refused, "the proof failed: output '" + error.name + "' is off by " +
                                          number(error.mean_abs_error) + " on average and " +
                                          number(error.max_abs_error) + " at most; allowed are " +
                                          number(bound->mean_abs_error) + " and " +
                                          number(bound->max_abs_error));
    }
  }
  return {};
}

}  // namespace outcrop::runtime
