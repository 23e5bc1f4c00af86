#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/analyze/contender.hpp"

namespace outcrop::analyze {

// What pages of one result and of many show alike: bars of sizes, times and memory, error against size, and
// the radar. Charts without anything to show are left out.
[[nodiscard]] std::string contender_charts(const std::vector<Contender>& contenders);

// What a reader should know of one of the results.
struct ResultNote {
  std::string result;  // "qat"
  std::string text;
  bool amiss = false;  // something is missing there
};

// Many results beside each other: the page of outcrop compare, and of an experiment, which has a note for each of them,
// and perhaps sections of its own (html_section).
[[nodiscard]] std::string comparison_page(const std::vector<Contender>& contenders,
                                          const std::vector<std::string>& results,
                                          const std::vector<ResultNote>& notes = {},
                                          const std::string& more_sections = {});
// Its table, for machines: comparison.csv.
[[nodiscard]] std::string contenders_csv(const std::vector<Contender>& contenders);
// In three lines: which is smallest, fastest, nearest.
[[nodiscard]] std::vector<std::string> comparison_summary(const std::vector<Contender>& contenders);

}  // namespace outcrop::analyze
