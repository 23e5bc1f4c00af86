#pragma once

#include <string>

#include "trainer_host/trainer/analyze/analysis.hpp"

namespace outcrop::analyze {

// report.html: one page that stands alone, what matters first.
[[nodiscard]] std::string analysis_page(const Analysis& analysis, double float_below_db);

}  // namespace outcrop::analyze
