#include "trainer_host/fleet/page/dots.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr double width = 640;
constexpr double margin = 16;
constexpr std::size_t most_dots = 200;
constexpr std::size_t most_named = 20;

// What both ends of a scale are, so that 0 and all values are within.
struct Scale {
  double low, high;
  [[nodiscard]] double at(double value) const {
    return margin + (width - 2 * margin) * (value - low) / (high - low);
  }
};

std::string tenths(double value) {
  std::string text = plain(value);
  return text.substr(0, text.find('.') + 2);
}

Html vertical(double x, double bottom, const char* kind) {
  Html html;
  return html << "<line class=\"" << std::string(kind) << "\" x1=\"" << plain(x) << "\" x2=\"" << plain(x)
              << "\" y1=\"4\" y2=\"" << plain(bottom) << "\"/>";
}

Html label(double x, double y, const std::string& anchor, const std::string& words) {
  Html html;
  return html << "<text x=\"" << plain(x) << "\" y=\"" << plain(y) << "\" text-anchor=\"" << anchor
              << "\">" << words << "</text>";
}

}  // namespace

Html sparkline(const std::vector<double>& values) {
  Html svg;
  if (values.size() < 2) return svg;
  constexpr double across = 80, height = 18, edge = 2;
  constexpr double least_range = .2;  // of the median: noise is no mountain
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double middle = (*low + *high) / 2;
  const double range = std::max(*high - *low, least_range * middle);
  svg << "<svg class=\"spark\" role=\"img\" viewBox=\"0 0 80 18\"><title>p90 of calls served in its last " << values.size()
      << " samples: from " << milliseconds(*low) << " to " << milliseconds(*high) << ", now " << milliseconds(values.back())
      << "</title><polyline points=\"";
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = edge + (across - 2 * edge) * static_cast<double>(i) / static_cast<double>(values.size() - 1);
    const double y = height / 2 - (height - 2 * edge) * (values[i] - middle) / std::max(range, 1e-9);
    svg << tenths(x) << "," << tenths(y) << " ";
  }
  return svg << "\"/></svg>";
}

Html paired_dots(const Change& of) {
  std::vector<std::pair<std::string, double>> boards = of.boards;
  std::sort(boards.begin(), boards.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  double low = -.03;
  double high = .05;
  for (const auto& [name, by] : boards) {
    low = std::min(low, by * 1.05);
    high = std::max(high, by * 1.05);
  }
  const Scale scale{low, high};
  if (boards.size() > most_dots) {
    boards.erase(boards.begin() + most_dots / 2, boards.end() - most_dots / 2);
  }
  const bool named = boards.size() <= most_named;
  const double step = named ? 16 : boards.size() > 40 ? 3 : 9;
  const double bottom = 16 + step * static_cast<double>(boards.size());
  Html svg;
  svg << "<svg class=\"dots\" role=\"img\" viewBox=\"0 0 640 " << plain(bottom + 22) << "\" aria-label=\""
      << of.variant << " on " << of.device_class << ": " << of.p90.slower << " of " << of.p90.boards
      << " boards slower, median " << change(of.p90.median) << "\">";
  if (of.p90.low && of.p90.high) {
    const double left = scale.at(std::clamp(*of.p90.low, low, high));
    const double right = scale.at(std::clamp(*of.p90.high, low, high));
    svg << "<rect class=\"interval\" x=\"" << plain(left) << "\" width=\""
        << plain(std::max(1.0, right - left)) << "\" y=\"4\" height=\"" << plain(bottom - 4) << "\"/>";
  }
  svg << vertical(scale.at(0), bottom, "zero") << vertical(scale.at(harm_from), bottom, "limit");
  double y = 14;
  for (const auto& [name, by] : boards) {
    const double x = scale.at(by);
    const bool slower = by > harm_from;
    svg << "<g><title>" << name << ": " << change(by) << "</title>";
    if (slower) {  // by shape, too: a square
      svg << "<rect class=\"slower\" x=\"" << plain(x - 3) << "\" y=\"" << plain(y - 3)
          << "\" width=\"6\" height=\"6\"/>";
    } else {
      svg << "<circle class=\"same\" cx=\"" << plain(x) << "\" cy=\"" << plain(y) << "\" r=\"3\"/>";
    }
    svg << "</g>";
    if (named) {
      const bool left = x > width / 2;
      svg << label(x + (left ? -8 : 8), y + 4, left ? "end" : "start", name + " " + change(by));
    }
    y += step;
  }
  const double foot = bottom + 16;
  return svg << label(scale.at(0), foot, "end", "as before ")
             << label(scale.at(harm_from) + 3, foot, "start", " slower by 2 % →") << "</svg>";
}

Html pareto(const std::string& device_class, const std::vector<ParetoPoint>& points) {
  constexpr double height = 220;
  double most_ms = 0;
  double most_error = 0;
  for (const ParetoPoint& one : points) {
    most_ms = std::max(most_ms, one.p90_ms);
    most_error = std::max(most_error, one.error);
  }
  const Scale across{0, std::max(1.0, most_error) * 1.25};
  const auto up = [&](double ms) { return height - 24 - (height - 48) * ms / (most_ms * 1.1); };
  Html svg;
  svg << "<svg class=\"dots\" role=\"img\" viewBox=\"0 0 640 220\" aria-label=\"Error against p90 on "
      << device_class << "; the table has the figures\">" << vertical(across.at(1), height - 24, "limit")
      << "<line class=\"zero\" x1=\"16\" x2=\"624\" y1=\"196\" y2=\"196\"/>";
  for (const ParetoPoint& one : points) {
    const bool beaten = std::any_of(points.begin(), points.end(), [&](const ParetoPoint& other) {
      return other.p90_ms <= one.p90_ms && other.error <= one.error &&
             (other.p90_ms < one.p90_ms || other.error < one.error);
    });
    const double x = across.at(one.error);
    const double y = up(one.p90_ms);
    svg << "<circle class=\"" << std::string(beaten ? "beaten" : "best") << "\" cx=\"" << plain(x)
        << "\" cy=\"" << plain(y) << "\" r=\"5\"/>"
        << label(x + (x > 480 ? -9 : 9), y + 4, x > 480 ? "end" : "start",
                 one.name + ", " + milliseconds(one.p90_ms));
  }
  return svg << label(16, 214, "start", "no error") << label(across.at(1), 214, "middle", "all that is allowed")
             << "</svg>";
}

}  // namespace outcrop::fleet::page
