#pragma once

#include <torch/script.h>

#include "protocol/messages/text_input.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/text/encoded_texts.hpp"
#include "trainer_host/trainer/kinds/text/encoder.hpp"

namespace outcrop::text {

// How boards ask it by a text.
[[nodiscard]] messages::TextInput text_input_of(const TextShape& shape);

// That a release can tell boards how texts are cut, and what the classes are. invalid_argument where the vocabulary is too
// large; invalid_data for names that no message may hold.
[[nodiscard]] Status check_travels(const TextShape& shape);

// forward(ids: int64 [batch, length]) -> probabilities: float32 [batch, classes]. Ids are a text's, as Tokenizer::padded()
// has them. Ranges are calibrated by texts that were trained on; goldens are `shown` ones.
[[nodiscard]] kinds::Export make_export(const TextShape& shape, const torch::jit::Module& network,
                                        const Vocabulary& vocabulary, const EncodedTexts& training,
                                        const EncodedTexts& shown);

}  // namespace outcrop::text
