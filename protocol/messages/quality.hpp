#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::messages {

// How good a stage's float model is, beside what one that learned nothing reaches (SCHEMA.md,
// "Quality"). Not how far a variant is from the float model: that is `shown` and the tolerances.

// Of one output over all samples, by metric: "ssim", "mae" and "rmse" of maps, "error" (the share that
// is wrong) and "iou" of classes, … MAE and RMSE are in the output's unit, the others have none.
struct OutputScore {
  std::map<std::string, double, std::less<>> metrics;
  bool operator==(const OutputScore&) const = default;

  // Null where there is no such metric.
  [[nodiscard]] const double* find(std::string_view metric) const;
  [[nodiscard]] double* find(std::string_view metric);
};

// Whether a metric is in the unit of its output.
[[nodiscard]] bool has_unit(std::string_view metric);
// "RMSE", "SSIM", "error": as people are shown it.
[[nodiscard]] std::string shown_metric(std::string_view metric);

// The model, or what it is compared with.
struct ScoredModel {
  std::string name;
  std::map<std::string, OutputScore> outputs;
  bool operator==(const ScoredModel&) const = default;
};

// How far samples lie from the mean of the training data: the root of the mean square over all
// values of an output. What is drawn from noise should spread about as training data do.
struct Spread {
  double drawn = 0;
  double data = 0;
  bool operator==(const Spread&) const = default;
};

struct Quality {
  std::uint64_t samples = 0;  // that were reconstructed
  bool held_out = false;      // else they are training samples: none are held out
  std::map<std::string, std::string> units;  // of each output: "m/s"
  std::string judged_by = "rmse";            // every output has it: an error, 0 where all is right
  ScoredModel model;
  std::vector<ScoredModel> baselines;
  std::uint64_t drawn = 0;  // samples drawn from noise; 0 for a model that draws none
  std::map<std::string, Spread> spread;  // of these; none without
  bool operator==(const Quality&) const = default;

  // Null where no baseline has that name.
  [[nodiscard]] const ScoredModel* baseline(std::string_view name) const;
};

// The baseline that every quality has.
inline constexpr std::string_view mean_baseline = "mean of the training data";

// One JSON object in one line; the same quality gives the same bytes.
[[nodiscard]] std::string to_json(const Quality& quality);
[[nodiscard]] Result<Quality> parse_quality(std::string_view text);

// Under this key a released golden output file carries its quality, as to_json wrote it: part of
// what the manifest's digest covers, and of no concern to boards.
inline constexpr const char* quality_metadata_key = "outcrop-quality";

}  // namespace outcrop::messages
