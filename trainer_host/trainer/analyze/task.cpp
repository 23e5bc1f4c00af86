#include "trainer_host/trainer/analyze/task.hpp"

#include <cmath>

#include "trainer_host/trainer/analyze/class_comparison.hpp"
#include "trainer_host/trainer/analyze/examine.hpp"
#include "trainer_host/trainer/kinds/answers_classes.hpp"

namespace outcrop::analyze {
namespace {

using torch::Tensor;
using user_module::Objective;

constexpr std::string_view counts_right = "accuracy";

double score_of_row(const Objective& objective, const Tensor& output, const Tensor& target) {
  const double value = *objective.score(output, target).find(objective.shown());
  return objective.shown() == counts_right ? value : value * value;
}

}  // namespace

void TaskScores::add(const Objective& objective, const Tensor& before, const Tensor& after,
                     const Tensor& target) {
  probabilities_ = probabilities_ && kinds::are_probabilities(before) && kinds::are_probabilities(after);
  if (probabilities_) logits_.add(distance_of(logits_of(before), logits_of(after)));
  for (std::int64_t row = 0; row < target.size(0); ++row) {
    const Tensor wanted = target.slice(0, row, row + 1);
    one_answer_a_row_ = one_answer_a_row_ && wanted.numel() == 1;
    before_.push_back(score_of_row(objective, before.slice(0, row, row + 1), wanted));
    after_.push_back(score_of_row(objective, after.slice(0, row, row + 1), wanted));
  }
}

TaskComparison TaskScores::compared(const Objective& objective) const {
  TaskComparison task;
  task.metric = objective.shown();
  task.more_is_better = task.metric == counts_right;
  task.rows = before_.size();
  const auto figure = [right = task.more_is_better](double mean) { return right ? mean : std::sqrt(mean); };
  task.before = bootstrap(before_, figure);
  task.after = bootstrap(after_, figure);
  task.change = bootstrap_change(before_, after_, figure);
  if (!task.more_is_better) {
    task.no_mcnemar = "McNemar's test is of right and wrong answers; these are distances";
    return task;
  }
  if (!one_answer_a_row_) {
    task.no_mcnemar = "McNemar's test wants one answer a row; the many of one row depend on each other";
    return task;
  }
  std::size_t only_before = 0;
  std::size_t only_after = 0;
  for (std::size_t row = 0; row < before_.size(); ++row) {
    if (before_[row] > after_[row]) ++only_before;
    if (after_[row] > before_[row]) ++only_after;
  }
  task.mcnemar = mcnemar(only_before, only_after);
  if (probabilities_) task.logits_db = logits_.sqnr_db();
  return task;
}

}  // namespace outcrop::analyze
