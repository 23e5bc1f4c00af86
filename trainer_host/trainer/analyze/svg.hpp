#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer_host/trainer/analyze/analysis.hpp"

// Charts as SVG that stands in a page of html_page.hpp: its style sheet has the colours, in light and dark.
namespace outcrop::analyze {

// Text in which nothing is markup.
[[nodiscard]] std::string escaped(const std::string& text);

struct Bar {
  std::string label;
  double value = 0;
  std::string shown;  // the value as text
  std::string colour = "after";  // a class: "before", "after", "warn" or "quiet"
  std::string title{};  // what is said where one points at it
};
// Horizontal bars from 0, one below the other, each with its label before and its value behind it.
[[nodiscard]] std::string bar_chart(const std::string& title, const std::vector<Bar>& bars,
                                    const std::string& note = "");

struct Dot {
  std::string label;
  double x = 0;
  double y = 0;
  std::string colour = "after";
  std::optional<std::pair<double, double>> interval{};  // of y, as a line through it
};
// Upwards from zero, or, where scores are near each other, over their own range.
[[nodiscard]] std::string scatter_chart(const std::string& title, const std::string& x_label,
                                        const std::string& y_label, const std::vector<Dot>& dots,
                                        bool from_zero = true);

// Before as a filled shape, after as a line over it.
[[nodiscard]] std::string histogram_chart(const std::string& title, const HistogramPair& pair);

// One closed shape for each row over axes from 0 (middle) to 1 (rim).
struct RadarShape {
  std::string label;
  std::vector<double> values;  // one for each axis
};
[[nodiscard]] std::string radar_chart(const std::string& title, const std::vector<std::string>& axes,
                                      const std::vector<RadarShape>& shapes);

}  // namespace outcrop::analyze
