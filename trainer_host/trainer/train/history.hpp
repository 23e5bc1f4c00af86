#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::train {

// One finished epoch: a row of training.csv.
struct EpochRecord {
  std::int64_t epoch = 0;
  std::int64_t stage = 0;
  double learning_rate = 0.0;           // of its last step
  double velocity_loss = 0.0;           // mean over its batches, in normalized units
  double gather_loss = 0.0;             // likewise
  // The same losses of held-out samples; nothing where none are held out, where an earlier version
  // trained this epoch, and where a loss is not finite.
  std::optional<double> held_out_velocity_loss;
  std::optional<double> held_out_gather_loss;
  std::optional<double> held_out_ssim;  // of reconstructed velocity maps, where some are held out
  std::optional<double> held_out_mae;   // m/s
  double seconds = 0.0;                 // wall clock
};

// The table with its heading line; numbers in full, empty cells for what was not measured.
[[nodiscard]] std::string to_csv(const std::vector<EpochRecord>& history);

// JSON for the checkpoint and back: the checkpoint's history is the truth, and training.csv is
// written from it, so no kill leaves a row twice or misses one after resuming.
[[nodiscard]] std::string history_to_json(const std::vector<EpochRecord>& history);
[[nodiscard]] Result<std::vector<EpochRecord>> history_from_json(const std::string& text);

}  // namespace outcrop::train
