#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::train {

// The weights that a run began with instead of random ones.
struct Origin {
  std::filesystem::path file;  // where they lay then
  std::string sha256;          // of that file, in hex
  std::string model;
  std::int64_t stage = 0;
  std::int64_t epoch = 0;
  std::string data_digest;  // SHA-256 in hex of what they were trained on
};

// What the user changed on the way: epochs after this one were trained with `now`.
struct Change {
  std::int64_t epoch = 0;
  std::string key;  // "train.learning_rate", "data.train"
  std::string before;
  std::string now;
};

// Where a run comes from, beyond its configuration of today.
struct Lineage {
  std::optional<Origin> origin;
  std::vector<Change> changes;  // in their order

  // As it was when `epoch` was the last one.
  [[nodiscard]] Lineage until(std::int64_t epoch) const;
};

// JSON for the checkpoint, for lineage.json and back. invalid_data where it is something else.
[[nodiscard]] std::string lineage_to_json(const Lineage& lineage);
[[nodiscard]] Result<Lineage> lineage_from_json(const std::string& text);

}  // namespace outcrop::train
