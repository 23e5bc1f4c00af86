#pragma once

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/experiment/step_record.hpp"

namespace outcrop::experiment {

// A step that has no figures, and why.
struct Missing {
  std::string step;
  std::string why;
};

// comparison/: summary.csv, report.html, radar.png, accuracy_against_size.png, dashboard.png and what else outcrop compare draws,
// of all steps that have figures; the steps in `missing` are named with the reason. With what boards measured of steps that were
// released (board_figures.hpp), where `reports` names that: boards.csv, and beside the host's figures in the report. Answers what
// a terminal shows. not_found where no step has any figures.
[[nodiscard]] Result<std::string> write_comparison(const Experiment& experiment, const ResultPaths& paths,
                                                   const std::vector<Missing>& missing,
                                                   const std::filesystem::path& reports = {});

}  // namespace outcrop::experiment
