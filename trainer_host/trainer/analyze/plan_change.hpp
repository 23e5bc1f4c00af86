#pragma once

#include <filesystem>
#include <optional>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"

namespace outcrop::analyze {

// The plan that stands beside a variant's file ("x.ptl": "x.plan.toml"), its layers in the order of the file,
// which is that of execution; nothing where there is none.
[[nodiscard]] std::filesystem::path plan_beside(const std::filesystem::path& variant);
[[nodiscard]] Result<std::optional<quantize::Plan>> read_plan_beside(const std::filesystem::path& variant);

// The same plan with the layers float whose output was below so many decibels, and why.
[[nodiscard]] quantize::Plan with_worst_float(quantize::Plan plan, const Analysis& analysis, double below_db);

}  // namespace outcrop::analyze
