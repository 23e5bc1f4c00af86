#pragma once

#include <string>

#include "trainer_host/trainer/analyze/analysis.hpp"

namespace outcrop::analyze {

// All of it, for machines: metrics.json; in one line where `indent` is -1. A decibel of equal values is null, and "exact" is true.
[[nodiscard]] std::string analysis_json(const Analysis& analysis, int indent = 2);
// A line a layer, in the order of execution: comparison.csv.
[[nodiscard]] std::string layers_csv(const Analysis& analysis);
// For people who read text: summary_report.md.
[[nodiscard]] std::string analysis_markdown(const Analysis& analysis, double float_below_db);

}  // namespace outcrop::analyze
