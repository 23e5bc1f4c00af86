#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::sweep {

// A key of the training's configuration and what it may be: values as TOML has them, or a range that is drawn from.
struct Key {
  struct Range {
    double from = 0;
    double to = 1;
    bool logarithmic = false;  // as many draws between 0.001 and 0.01 as between 0.01 and 0.1
    bool whole = false;        // integers
  };
  std::string name;                  // "train.learning_rate"
  std::vector<std::string> values{}; // "0.002", "[32, 64]"; or
  std::optional<Range> range{};
};

enum class Search {
  grid,     // every combination
  random,   // drawn with a seed
  halving,  // drawn; after each stage the better ones go on
};

// The configuration of `outcrop sweep`.
struct Sweep {
  std::filesystem::path file;
  std::filesystem::path config;       // of the training
  std::vector<std::string> settings;  // keys of it that are otherwise in all trials
  std::filesystem::path out;
  Search search = Search::grid;
  std::int64_t trials = 16;    // that are drawn
  std::uint64_t seed = 1;
  std::int64_t stages = 1;     // that a trial is trained for, where it goes on to the end
  double keep = 0.5;           // share that goes on after each stage of halving
  std::string goal;            // a column of training.csv; "": the kind's first score
  std::optional<bool> more_is_better{};  // nothing: as the goal's name says
  std::vector<Key> keys;       // in the order of their names
};

// invalid_argument names file, line, key and what would be right. Whether the keys are those of the configuration is not looked at.
[[nodiscard]] Result<Sweep> read_sweep(const std::filesystem::path& file);

// What is tried: for each key of the sweep, in their order, its value as TOML has it. The same sweep gives the same points, of
// which no two are the same. invalid_argument where a grid has more than 10,000 or fewer points can be had than are wanted.
using Point = std::vector<std::string>;
[[nodiscard]] Result<std::vector<Point>> points_of(const Sweep& sweep);

// What `outcrop train --set` takes for a point.
[[nodiscard]] std::vector<std::string> settings_of(const Sweep& sweep, const Point& point);

}  // namespace outcrop::sweep
