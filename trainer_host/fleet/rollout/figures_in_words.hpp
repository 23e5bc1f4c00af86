#pragma once

#include <cstddef>
#include <string>

namespace outcrop::fleet {

// Figures of comparisons, as verdicts say them.

// Of a ratio of 1.051: "+5.1 %".
[[nodiscard]] std::string percent(double ratio);
// "1 board", "3 boards"
[[nodiscard]] std::string boards_in_words(std::size_t boards);
// Of evidence: "0.1", "212"; nothing above a million is told apart.
[[nodiscard]] std::string rounded(double evidence);

}  // namespace outcrop::fleet
