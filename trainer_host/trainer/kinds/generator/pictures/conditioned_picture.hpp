#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::generator {

// Maps under a condition, above those of the same noise under none.
struct ConditionedPicture {
  struct Row {
    std::string label;                     // "that agree"
    std::vector<std::vector<float>> maps;  // rows of m/s; up to maps_shown are drawn
    std::vector<float> spread;             // standard deviation over all of them by cell, m/s; empty: of one map there is none
  };
  static constexpr std::size_t maps_shown = 4;

  std::string title;
  std::string caption;
  std::string given_heading;  // "what is known"
  std::vector<float> given;   // rows of m/s, NaN where nothing is: left white
  std::vector<Row> rows;      // at least one
  data::Geometry geometry{};
};

// PNG; errors are those of evaluate/gnuplot.hpp.
[[nodiscard]] Status draw_conditioned(const ConditionedPicture& shown, const std::filesystem::path& png);

}  // namespace outcrop::generator
