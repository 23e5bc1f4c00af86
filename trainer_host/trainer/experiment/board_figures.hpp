#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/experiment/step_record.hpp"

namespace outcrop::experiment {

// What boards of a class measured of a form that a step released: medians over boards, of each its newest valid measurement.
struct BoardFigure {
  std::string device_class;
  std::string step;
  std::string variant;
  std::size_t boards = 0;
  double p50_ms = 0;
  double p90_ms = 0;
  std::uint64_t peak_memory = 0;  // bytes
};

// `reports` is what `outcrop fleet reports --json` printed, the newest first. Reports of other releases are passed over, and so
// are measurements that the board itself holds for void. invalid_data where the file is something else. Sorted by class, step, variant.
[[nodiscard]] Result<std::vector<BoardFigure>> read_board_figures(const std::filesystem::path& reports,
                                                                  const Experiment& experiment, const ResultPaths& paths);

[[nodiscard]] std::string boards_csv(const std::vector<BoardFigure>& figures);

}  // namespace outcrop::experiment
