#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/text/tokenizer.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"

namespace outcrop::text {

// Texts as a model takes them.
struct EncodedTexts {
  torch::Tensor ids;     // int64 [N, length]
  torch::Tensor labels;  // int64 [N]: places among the classes

  [[nodiscard]] std::int64_t size() const { return labels.size(0); }
};

// `classes` are sorted, and have those of all texts.
[[nodiscard]] EncodedTexts encode(const LabelledTexts& texts, const Tokenizer& tokenizer, std::int64_t length,
                                  const std::vector<std::string>& classes);

// Those that are drawn. Of their pieces so large a share, at random, is [UNK], so that no answer hangs on a word: which, by
// what is drawn together, hence others in each epoch, and the same after a kill.
[[nodiscard]] EncodedTexts chosen(const EncodedTexts& texts, std::span<const kinds::Draw> draws, double hidden_words,
                                  const Vocabulary& vocabulary);

}  // namespace outcrop::text
