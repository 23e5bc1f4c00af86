#include "runtime/runner/prove.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/base/number.hpp"

namespace outcrop::runtime {
namespace {

// The entry of an output, made where it is a new one.
OutputError& entry_of(std::vector<OutputError>& outputs, const std::string& name) {
  const auto found = std::find_if(outputs.begin(), outputs.end(),
                                  [&](const OutputError& error) { return error.name == name; });
  if (found != outputs.end()) return *found;
  outputs.push_back({name, 0, 0});
  return outputs.back();
}

double value_at(const Tensor& tensor, std::size_t index) {
  return tensor.dtype == DType::float32 ? static_cast<double>(tensor.floats()[index])
                                        : static_cast<double>(tensor.integers()[index]);
}

}  // namespace

Result<OutputError> compare(const Tensor& output, const Tensor& golden) {
  if (output.dtype != golden.dtype || output.shape != golden.shape || golden.data.empty()) {
    return fail(ErrorCode::invalid_data, "output '" + golden.name + "' is " + describe(output) +
                                             ", its golden one is " + describe(golden));
  }
  OUTCROP_CHECK(check_size(output));
  OutputError error{golden.name, 0, 0};
  const std::size_t elements = golden.elements();
  for (std::size_t i = 0; i < elements; ++i) {
    const double distance = std::abs(value_at(output, i) - value_at(golden, i));
    if (!std::isfinite(distance)) {
      return fail(ErrorCode::invalid_data, "output '" + golden.name +
                                               "' has a value that is not finite at element " +
                                               std::to_string(i));
    }
    error.mean_abs_error += distance;
    error.max_abs_error = std::max(error.max_abs_error, distance);
  }
  error.mean_abs_error /= static_cast<double>(elements);
  return error;
}

Result<ProofReport> prove(Runner& runner, std::span<const ProofCall> calls) {
  if (calls.empty()) return fail(ErrorCode::invalid_data, "a proof needs golden calls");
  ProofReport report;
  for (const ProofCall& call : calls) {
    OUTCROP_TRY(outputs, runner.infer(call.method, call.arguments));
    if (outputs.size() != call.outputs.size() || outputs.empty()) {
      return fail(ErrorCode::invalid_data, call.method + " gave " +
                                               std::to_string(outputs.size()) +
                                               " outputs, the proof has " +
                                               std::to_string(call.outputs.size()));
    }
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      OUTCROP_TRY(error, compare(outputs[k], call.outputs[k]));
      OutputError& worst = entry_of(report.outputs, error.name);
      worst.mean_abs_error = std::max(worst.mean_abs_error, error.mean_abs_error);
      worst.max_abs_error = std::max(worst.max_abs_error, error.max_abs_error);
    }
    ++report.calls;
  }
  return report;
}

Status check_finite(std::string_view method, std::span<const Tensor> outputs) {
  std::string words;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k].dtype != DType::float32) continue;
    OUTCROP_CHECK(check_size(outputs[k]));
    const auto values = outputs[k].floats();
    const auto lost = std::count_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    if (lost == 0) continue;
    words += (words.empty() ? "" : "; ") + ("output " + std::to_string(k + 1)) + " of " + std::string(method) + " holds " +
             std::to_string(lost) + " of " + std::to_string(values.size()) + " values that are not finite (" +
             write_number(100.0 * static_cast<double>(lost) / static_cast<double>(values.size())) + " %)";
  }
  if (!words.empty()) return fail(ErrorCode::invalid_data, words);
  return {};
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
                                          write_number(error.mean_abs_error) + " on average and " +
                                          write_number(error.max_abs_error) + " at most; allowed are " +
                                          write_number(bound->mean_abs_error) + " and " +
                                          write_number(bound->max_abs_error));
    }
  }
  return {};
}

}  // namespace outcrop::runtime
