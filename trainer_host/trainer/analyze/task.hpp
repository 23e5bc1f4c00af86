#pragma once

#include <torch/torch.h>

#include <vector>

#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/kinds/module/objective.hpp"

namespace outcrop::analyze {

// How both models do on rows with a target, gathered row by row.
class TaskScores {
 public:
  // First outputs and targets of the same rows.
  void add(const user_module::Objective& objective, const torch::Tensor& before, const torch::Tensor& after,
           const torch::Tensor& target);
  [[nodiscard]] std::size_t rows() const { return before_.size(); }
  [[nodiscard]] TaskComparison compared(const user_module::Objective& objective) const;

 private:
  // Of each row its share of right answers, or its mean squared error: what means are taken of.
  std::vector<double> before_;
  std::vector<double> after_;
  bool one_answer_a_row_ = true;
  Distance logits_;
  bool probabilities_ = true;  // all that were answered
};

}  // namespace outcrop::analyze
