#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::classes {

// What kinds share whose models answer a probability for each of some classes.

inline constexpr const char* probabilities_output = "probabilities";  // float32 [batch, classes]

// Answers of several calls as one tensor. invalid_data where they are of another number of classes; diverged where one is
// not finite.
[[nodiscard]] Result<torch::Tensor> joined_answers(const std::vector<torch::Tensor>& answers, std::size_t classes);

// 1 for the class of each label, 0 for others: float [N, classes].
[[nodiscard]] torch::Tensor certain(const torch::Tensor& labels, std::int64_t classes);

// "accuracy", "error" and "rmse" of probabilities [N, classes] for int64 labels [N].
[[nodiscard]] messages::ScoredModel scored(std::string name, const torch::Tensor& probabilities, const torch::Tensor& labels);

// The baseline that every quality has: how often each class is in the training data, which answers the most frequent one.
[[nodiscard]] messages::ScoredModel scored_mean(const torch::Tensor& trained_labels, const torch::Tensor& labels,
                                                std::int64_t classes);

// Signature, bounds, likeness and names of classes: what an export of a model says that takes `input` and answers
// probabilities.
void answer_classes(kinds::Export& exported, messages::Input input, const std::vector<std::string>& names);

// `most` of `count`, evenly chosen; all where there are no more.
[[nodiscard]] std::vector<kinds::Draw> evenly_chosen(std::size_t count, std::size_t most);

}  // namespace outcrop::classes
