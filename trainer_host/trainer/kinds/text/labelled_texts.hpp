#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::text {

inline constexpr std::size_t most_classes = 256;

struct LabelledText {
  std::string text;   // UTF-8, without white space at its ends
  std::string label;  // the name of its class
  std::string place;  // "data/train/pos/7.txt", "data.tsv:8"
};

using LabelledTexts = std::vector<LabelledText>;

// The names of the classes, sorted.
[[nodiscard]] std::vector<std::string> classes_of(const LabelledTexts& texts);

// Takes away what stands there twice, and answers how many that were; invalid_data names two places where it does not
// have the same class. What is left is in an order that depends on the texts alone, in which no class comes first.
[[nodiscard]] Result<std::size_t> mix(LabelledTexts& texts);

// For each of `some`, whether its text is among `others` too, whatever its class there.
[[nodiscard]] std::vector<bool> found_in(const LabelledTexts& some, const LabelledTexts& others);

// SHA-256 in hex of texts and classes; "" of none.
[[nodiscard]] std::string digest_of(const LabelledTexts& texts);

}  // namespace outcrop::text
