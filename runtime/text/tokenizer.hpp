#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/vocabulary.hpp"
#include "runtime/text/words.hpp"

namespace outcrop::text {

// Texts as the ids of their pieces: WordPiece (Wu et al. 2016) as BERT does it. From any thread.
class Tokenizer {
 public:
  Tokenizer(Vocabulary vocabulary, Letters letters) : vocabulary_(std::move(vocabulary)), letters_(letters) {}

  // Of each word the longest piece that it begins with, then of what is left; a word that cannot be cut so, or of more than
  // 100 characters, is [UNK]. What a text says of special pieces ("[SEP]") is text: nobody ends another's text by a word.
  [[nodiscard]] std::vector<std::int64_t> ids_of(std::string_view text) const;

  // [CLS], the text, [SEP], then [PAD] up to `length`, which is 2 at least; a longer text is cut.
  [[nodiscard]] std::vector<std::int64_t> padded(std::string_view text, std::size_t length) const;

  [[nodiscard]] const Vocabulary& vocabulary() const { return vocabulary_; }
  [[nodiscard]] Letters letters() const { return letters_; }

 private:
  Vocabulary vocabulary_;
  Letters letters_;
};

}  // namespace outcrop::text
