#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/vocabulary.hpp"
#include "runtime/text/words.hpp"

namespace outcrop::text {

// A vocabulary of texts: special pieces, the characters of their words (the most frequent ones where there are more than
// half as many as pieces), then again and again the two neighbours that stand beside each other most often, as one (Sennrich
// et al. 2016), until there are `size` pieces or nothing stands there twice. The same texts, whatever their order, give the
// same pieces.
[[nodiscard]] Result<Vocabulary> learn_vocabulary(std::span<const std::string_view> texts, Letters letters,
                                                   std::size_t size);

}  // namespace outcrop::text
