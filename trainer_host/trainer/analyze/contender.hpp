#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer_host/trainer/analyze/analysis.hpp"

namespace outcrop::analyze {

// One form of a model among those that are compared: a line of a table, a bar, a point.
struct Contender {
  std::string name;   // "int8-qint8"
  std::string from;   // the result that says so: "run/stage2"
  bool is_float = false;
  std::uint64_t disk = 0;      // bytes; 0 where nobody says
  std::uint64_t transfer = 0;  // by zstd
  std::uint64_t memory = 0;    // the runner's peak
  std::optional<double> p50_ms;
  std::optional<double> p90_ms;
  std::optional<double> error;    // mean absolute, of its first output, against float
  std::optional<double> sqnr_db;  // of that output
  std::optional<double> in_codes;  // share of multiply-adds
  std::string metric;              // of the task: "accuracy"
  std::optional<Interval> score;
  // Of classes, against float on the same samples.
  std::optional<McNemar> mcnemar;
  std::optional<double> logits_db;
};

// A unit in which the sizes on disk of all are short numbers.
struct ByteUnit {
  std::string name;
  double bytes = 1;
};
[[nodiscard]] ByteUnit byte_unit_of(const std::vector<Contender>& contenders);

// How good each is at what can be said of all of them, from 0 to 1, the best at 1: size, transfer, memory and
// time as the least of them over its own; nearness to float as its SQNR over 60 dB, or, where nobody knows
// that, by its share of the largest error. Of the first float form and a few others: more are no picture.
struct Radar {
  std::vector<std::string> axes;  // at least three, or none
  std::vector<std::pair<std::string, std::vector<double>>> shapes;
};
[[nodiscard]] Radar radar_of(const std::vector<Contender>& contenders);

// The forms of an analysis: the original first.
[[nodiscard]] std::vector<Contender> contenders_of(const Analysis& analysis);

}  // namespace outcrop::analyze
