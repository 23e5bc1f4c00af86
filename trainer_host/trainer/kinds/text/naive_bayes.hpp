#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "runtime/text/words.hpp"
#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"

namespace outcrop::text {

// What counting words reaches: multinomial naive Bayes over whole texts (McCallum and Nigam 1998), a count of one added to
// each word of each class; words that training has not seen say nothing. 1 for the class of each of `judged`, 0 for others:
// float [N, classes].
[[nodiscard]] torch::Tensor naive_bayes(const LabelledTexts& training, const LabelledTexts& judged,
                                        const std::vector<std::string>& classes, Letters letters);

}  // namespace outcrop::text
