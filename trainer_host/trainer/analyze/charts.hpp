#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/analyze/contender.hpp"

namespace outcrop::analyze {

// Pictures by gnuplot in `folder`: error.png (of an analysis SQNR by layer), size.png, speed.png, memory.png,
// error_against_size.png, accuracy_against_size.png (of whatever the task is judged by), radar.png, dashboard.png. One of which nothing is known is not drawn, and removed where
// it stands from before. Errors of evaluate::draw().
[[nodiscard]] Status draw_charts(const Analysis& analysis, const std::filesystem::path& folder);
[[nodiscard]] Status draw_charts(const std::vector<Contender>& contenders, const std::filesystem::path& folder,
                                 const std::string& title = "Quantizations side by side");

}  // namespace outcrop::analyze
