#pragma once

#include <cstdint>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"

namespace outcrop::classifier {

// How many images of a class (row) were taken for which (column).
using ConfusionCounts = std::vector<std::vector<std::uint64_t>>;

// Of a variant of the task's model over task.judged(). diverged where an answer is not finite.
[[nodiscard]] Result<ConfusionCounts> confusion_counts(const ClassifierTask& task,
                                                       models::CallableModel& model);

// The probabilities [images, classes] that it is made of.
[[nodiscard]] Result<torch::Tensor> answers_of(const ClassifierTask& task,
                                               models::CallableModel& model);

}  // namespace outcrop::classifier
