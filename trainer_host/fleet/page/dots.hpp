#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainer_host/fleet/page/html.hpp"
#include "trainer_host/fleet/view/changes.hpp"

namespace outcrop::fleet::page {

// Pictures that need no script: SVG by attributes alone, so that no style is asked of anybody.

// A dot for each board, by how much it became slower; the line of what harms nobody, and the interval. With many
// boards, those between are left to the table: the 200 that changed most either way are drawn.
[[nodiscard]] Html paired_dots(const Change& change);

// A line of figures, the oldest first, without axes: its words say from where to where. Empty of fewer than two.
[[nodiscard]] Html sparkline(const std::vector<double>& values);

// What one variant is on one class: error against float (share of what is allowed) and p90.
struct ParetoPoint {
  std::string name;
  double p90_ms = 0;
  double error = 0;
  std::size_t boards = 0;
};
// Error to the right, p90 upwards; filled where no other is better in both.
[[nodiscard]] Html pareto(const std::string& device_class, const std::vector<ParetoPoint>& points);

}  // namespace outcrop::fleet::page
