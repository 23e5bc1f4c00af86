#pragma once

#include <functional>
#include <optional>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/analyze/analyzed_model.hpp"
#include "trainer_host/trainer/analyze/questions.hpp"
#include "trainer_host/trainer/kinds/module/objective.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"

namespace outcrop::analyze {

struct ExamineOptions {
  std::optional<quantize::Plan> plan;  // of the quantized model; its layers in the order of execution
  std::optional<user_module::Objective> objective;  // none, or no targets: no task
  std::size_t most_rows = 256;  // that layers are compared on; outputs and the task are on all
  std::function<void(std::size_t done, std::size_t total)> progress;  // in rows
};

// Everything that running both models tells: operators, layers, shares, islands, outputs, the task. Files are
// measured elsewhere (forms.hpp). invalid_argument where the two take or give something else than each
// other, or the first one is quantized; invalid_data where rows do not fit; diverged names the layer
// whose float values are not finite. These come before the work. Layers that cannot be matched are no
// error: `unmatched` says why.
[[nodiscard]] Result<Analysis> examine(AnalyzedModel& original, AnalyzedModel& quantized,
                                       const Questions& questions, const ExamineOptions& options);

// The distance of `other` from `truth`, of as many values; both float32.
[[nodiscard]] Distance distance_of(const torch::Tensor& truth, const torch::Tensor& other);

}  // namespace outcrop::analyze
