#pragma once

#include <torch/torch.h>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::kinds {

// What a task is besides, whose models answer a probability for each of some classes: what two of them answer to the same
// samples can be held against each other, sample by sample.
class AnswersClasses {
 public:
  virtual ~AnswersClasses() = default;
  // To the samples that judge() takes: float [N, classes]. diverged where one is not finite.
  [[nodiscard]] virtual Result<torch::Tensor> answers_of(models::CallableModel& model) const = 0;
  // The classes of these samples: int64 [N].
  [[nodiscard]] virtual torch::Tensor judged_labels() const = 0;
};

// Whether each row [N, classes] is of numbers that are not negative and add up to 1.
[[nodiscard]] bool are_probabilities(const torch::Tensor& answers);

}  // namespace outcrop::kinds
