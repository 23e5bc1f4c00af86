#pragma once

#include <string>

namespace outcrop::fleet {

// Figures of comparisons, as verdicts say them.

// Of a ratio of 1.051: "+5.1 %".
[[nodiscard]] std::string percent(double ratio);
// Of evidence: "0.1", "212"; nothing above a million is told apart.
[[nodiscard]] std::string rounded(double evidence);

}  // namespace outcrop::fleet
