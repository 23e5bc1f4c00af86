#pragma once

#include <torch/script.h>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/text/encoded_texts.hpp"
#include "trainer_host/trainer/kinds/text/encoder.hpp"

namespace outcrop::text {

// forward(ids: int64 [batch, length]) -> probabilities: float32 [batch, classes]. Ids are a text's, as Tokenizer::padded()
// has them. Ranges are calibrated by texts that were trained on; goldens are `shown` ones.
[[nodiscard]] kinds::Export make_export(const TextShape& shape, const torch::jit::Module& network,
                                        const Vocabulary& vocabulary, const EncodedTexts& training,
                                        const EncodedTexts& shown);

}  // namespace outcrop::text
