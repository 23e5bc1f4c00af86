#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/analyze/analysis.hpp"

namespace outcrop::analyze {

// What one would tell a colleague, in three or four sentences: what it costs, how near it stays, what became
// of it. The same in each form of the report.
[[nodiscard]] std::vector<std::string> summary_of(const Analysis& analysis);

// "int8-qint8", or the file's name.
[[nodiscard]] std::string title_of(const Analysis& analysis);

// "31.2 dB", "equal" or "–".
[[nodiscard]] std::string sqnr_text(const std::optional<Distance>& distance);

}  // namespace outcrop::analyze
