#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/measure/latency.hpp"
#include "runtime/runner/runner.hpp"
#include "trainer_host/trainer/quantize/exported.hpp"

namespace outcrop::quantize {

// One line of quantization_performance.csv: a variant of a stage, measured on this machine by the
// boards' own confined runner.
struct PerformanceRow {
  std::string model;
  int stage = 0;
  VariantFile variant;  // size, coverage, errors against float in the golden calls
  std::map<std::string, std::string> units;  // of its outputs
  std::string likeness_name;                 // of OutputError::likeness; empty where there is none
  runtime::Milliseconds load{};
  runtime::Milliseconds first{};  // the first call of all, cold
  runtime::Latency steady;
  ByteCount peak_memory;    // of the whole runner
  ByteCount engine_memory;  // of that, before the model was loaded
  bool valid = true;        // false: others kept the machine busy meanwhile; figures are loose
  std::string unmeasured;   // why there are no times and no memory; empty where there are

  // Empty where an output has none.
  [[nodiscard]] const std::string& unit(const std::string& output) const;
};

struct MeasureOptions {
  runtime::RunnerOptions runner;
  int threads = 1;
  std::size_t calls = 100;               // steady inferences of each variant
  std::chrono::milliseconds time{5000};  // for these; whichever ends first
  std::size_t rounds = 4;                // variants take turns, so that noise hits all alike
  std::function<void(std::size_t done, std::size_t total, const std::string& next)> progress;
};

// Starts a runner for each variant file, loads, proves the golden outputs (the errors of `shown`
// are the quantizer's; this only refuses what is not finite or misshapen) and measures the first
// golden call, which is of what boards serve. Waits for others that measure on this machine. A row for each variant:
// where one could not be measured its row says why, and the others have their times. Fails where a
// file cannot be read or no trial can be held.
[[nodiscard]] Result<std::vector<PerformanceRow>> measure_performance(
    const ExportedStage& exported, const std::string& model, int stage,
    const MeasureOptions& options = {});

// The rows of variants that cannot be measured here, for this reason.
[[nodiscard]] std::vector<PerformanceRow> unmeasured_rows(const ExportedStage& exported,
                                                          const std::string& model, int stage,
                                                          const std::string& why);

// Puts rows into the table at `path`, crash-safe, replacing those of the same model, stage and
// variant: however often a stage's end is repeated, there is one row for each. Rows are sorted by
// model and stage; what was not measured is an empty cell, and so is what a row of an older version or
// another kind does not have. invalid_data where the file is something else.
[[nodiscard]] Status update_performance_csv(const std::filesystem::path& path,
                                            const std::vector<PerformanceRow>& rows);
// Whether update_performance_csv() can put rows there: the same errors, before there are any.
[[nodiscard]] Status check_performance_csv(const std::filesystem::path& path);

// Sizes, shares and errors as a table for people, with times and memory where they were measured;
// below it, why some were not.
[[nodiscard]] std::string performance_table(const std::vector<PerformanceRow>& rows);

// Lines of what whoever asked for the variants should know of them; "" where there is nothing.
[[nodiscard]] std::string remarks_text(const ExportedStage& exported);

// A line for each variant that was left out; "" where none was.
[[nodiscard]] std::string left_out_text(const ExportedStage& exported);

// What is int8 in each variant, what stays float and why, and the errors: for people and
// machines. The same input gives the same text.
[[nodiscard]] std::string exported_to_json(const ExportedStage& exported);

}  // namespace outcrop::quantize
