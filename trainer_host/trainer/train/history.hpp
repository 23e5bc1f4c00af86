#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::train {

// One finished epoch: a row of training.csv.
struct EpochRecord {
  std::int64_t epoch = 0;
  std::int64_t stage = 0;
  double learning_rate = 0.0;  // of its last step
  // Of the kind's columns, in their order: losses are means over the epoch's batches; nothing where
  // a value was not measured.
  std::vector<std::optional<double>> values;
  double seconds = 0.0;  // wall clock
};

// All epochs of a run, and the columns of their values by name.
struct History {
  std::vector<std::string> columns;
  std::vector<EpochRecord> rows;

  // Of the last row; nothing without such a column, a value or a row.
  [[nodiscard]] std::optional<double> last(std::string_view column) const;
};

// The same epochs with these columns: values go by name, what an older version did not write is
// nothing, and columns that are no more are dropped.
[[nodiscard]] History with_columns(const History& history, const std::vector<std::string>& columns);

// The table with its heading line; numbers in full, empty cells for what was not measured.
[[nodiscard]] std::string to_csv(const History& history);

// JSON for the checkpoint and back: the checkpoint's history is the truth, and training.csv is
// written from it, so no kill leaves a row twice or misses one after resuming. Reads what versions
// before named columns wrote, too.
[[nodiscard]] std::string history_to_json(const History& history);
[[nodiscard]] Result<History> history_from_json(const std::string& text);

}  // namespace outcrop::train
