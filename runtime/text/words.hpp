#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace outcrop::text {

// How a vocabulary's texts were written before they were cut.
enum class Letters {
  lowered,     // small, without accents ("uncased")
  as_written,  // "cased"
};

// The words of a text as BERT's basic tokenizer has them (Devlin et al. 2019): control characters are gone, every white
// space is one, each ideograph and each punctuation character is a word, and where letters are lowered they are small and
// without accents. Any bytes are a text: what is no UTF-8 in it is left out, as U+FFFD is.
[[nodiscard]] std::vector<std::string> words_of(std::string_view text, Letters letters);

}  // namespace outcrop::text
