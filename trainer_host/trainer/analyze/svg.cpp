#include "trainer_host/trainer/analyze/svg.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <numbers>

#include "protocol/base/cut_short.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"

namespace outcrop::analyze {
namespace {

constexpr double chart_width = 640;
constexpr double bar_height = 22;
constexpr std::size_t longest_label = 34;
constexpr int shape_colours = 6;  // classes s0 … s5 of the page

std::string at(double value) {
  return fixed(value, 1);
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& kind = "") {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor + "\"" +
         (kind.empty() ? "" : " class=\"" + kind + "\"") + ">" + escaped(text) + "</text>\n";
}

std::string begin_svg(const std::string& title, double width, double height) {
  return "<figure><figcaption>" + escaped(title) + "</figcaption>\n<svg viewBox=\"0 0 " + at(width) + " " +
         at(height) + "\" role=\"img\" aria-label=\"" + escaped(title) + "\" style=\"max-width:" + at(width) +
         "px\">\n";
}

constexpr const char* end_svg = "</svg></figure>\n";

std::string line_at(double x1, double y1, double x2, double y2, const std::string& kind) {
  return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) +
         "\" class=\"" + kind + "\"/>\n";
}

// Round numbers: as many digits as they need.
std::string tick_text(double tick) {
  std::ostringstream text;
  text << tick;
  return text.str();
}

// Whole steps of 1, 2 or 5 that cut a range into at most six.
std::vector<double> ticks_of(double least, double most) {
  const double rough = (most - least) / 6;
  if (!(rough > 0) || !std::isfinite(rough)) return {least};
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= rough) {
      step = digit * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (double tick = std::ceil(least / step - 1e-9) * step; tick <= most + 1e-9 * step; tick += step) {
    ticks.push_back(std::abs(tick) < 1e-9 * step ? 0.0 : tick);
  }
  return ticks;
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      default: safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return safe;
}

std::string bar_chart(const std::string& title, const std::vector<Bar>& bars, const std::string& note) {
  double most = 0;
  std::size_t longest = 4;
  for (const Bar& bar : bars) {
    most = std::max(most, bar.value);
    longest = std::max(longest, std::min(bar.label.size(), longest_label));
  }
  if (most <= 0) most = 1;
  const double left = 14 + 7.0 * static_cast<double>(longest);
  const double room = chart_width - left - 96;
  const double height = bar_height * static_cast<double>(bars.size()) + (note.empty() ? 6 : 26);
  std::string svg = begin_svg(title, chart_width, height);
  double y = 2;
  for (const Bar& bar : bars) {
    const double length = std::max(1.0, room * std::max(0.0, bar.value) / most);
    svg += text_at(left - 8, y + 15, "end", cut_short(bar.label, longest_label));
    svg += "<rect x=\"" + at(left) + "\" y=\"" + at(y + 2) + "\" width=\"" + at(length) + "\" height=\"" +
           at(bar_height - 5) + "\" rx=\"2\" class=\"fill " + bar.colour + "\"><title>" +
           escaped(bar.title.empty() ? bar.label + ": " + bar.shown : bar.title) + "</title></rect>\n";
    svg += text_at(left + length + 6, y + 15, "start", bar.shown, "value");
    y += bar_height;
  }
  if (!note.empty()) svg += text_at(left, y + 16, "start", note, "quiet");
  return svg + end_svg;
}

std::string scatter_chart(const std::string& title, const std::string& x_label, const std::string& y_label,
                          const std::vector<Dot>& dots, bool from_zero) {
  constexpr double height = 330, left = 78, right = 20, top = 16, bottom = 48;
  double x_most = 0;
  double y_least = from_zero || dots.empty() ? 0 : dots.front().y;
  double y_most = y_least;
  for (const Dot& dot : dots) {
    x_most = std::max(x_most, dot.x);
    y_least = std::min(y_least, dot.interval ? dot.interval->first : dot.y);
    y_most = std::max(y_most, dot.interval ? dot.interval->second : dot.y);
  }
  x_most = x_most > 0 ? 1.2 * x_most : 1;  // room for labels
  const double margin = y_most > y_least ? 0.12 * (y_most - y_least) : 1;
  y_most += margin;
  if (!from_zero) y_least -= margin;
  const auto x_of = [&](double x) { return left + x / x_most * (chart_width - left - right); };
  const auto y_of = [&](double y) { return height - bottom - (y - y_least) / (y_most - y_least) * (height - top - bottom); };
  std::string svg = begin_svg(title, chart_width, height);
  for (const double tick : ticks_of(y_least, y_most)) {
    svg += line_at(left, y_of(tick), chart_width - right, y_of(tick), "grid");
    svg += text_at(left - 6, y_of(tick) + 4, "end", tick_text(tick), "quiet");
  }
  for (const double tick : ticks_of(0, x_most)) {
    svg += line_at(x_of(tick), height - bottom, x_of(tick), top, "grid");
    svg += text_at(x_of(tick), height - bottom + 16, "middle", tick_text(tick), "quiet");
  }
  svg += text_at((left + chart_width) / 2, height - 8, "middle", x_label);
  svg += "<text transform=\"translate(14," + at((height - bottom) / 2) +
         ") rotate(-90)\" text-anchor=\"middle\">" + escaped(y_label) + "</text>\n";
  std::vector<std::pair<double, double>> placed;
  std::vector<Dot> upwards = dots;
  std::stable_sort(upwards.begin(), upwards.end(), [](const Dot& a, const Dot& b) { return a.y < b.y; });
  for (const Dot& dot : upwards) {
    const double x = x_of(dot.x);
    double y = y_of(dot.y) + 4;
    // Labels of neighbours go above each other.
    for (const auto& [other_x, other_y] : placed) {
      if (std::abs(x - other_x) < 130) y = std::min(y, other_y - 14);
    }
    placed.emplace_back(x, y);
    if (dot.interval) svg += line_at(x, y_of(dot.interval->first), x, y_of(dot.interval->second), "axis");
    svg += "<circle cx=\"" + at(x) + "\" cy=\"" + at(y_of(dot.y)) + "\" r=\"5\" class=\"fill " + dot.colour +
           "\"/>\n" + text_at(x + 9, y, "start", dot.label);
  }
  return svg + end_svg;
}

std::string histogram_chart(const std::string& title, const HistogramPair& pair) {
  constexpr double width = 310, height = 130, left = 8, right = 8, top = 6, bottom = 22;
  const auto share = [](const Histogram& histogram, std::size_t bin) {
    const auto total = static_cast<double>(histogram.total());
    return total > 0 ? static_cast<double>(histogram.counts[bin]) / total : 0.0;
  };
  double most = 0;
  for (std::size_t bin = 0; bin < Histogram::bins; ++bin) {
    most = std::max({most, share(pair.before, bin), share(pair.after, bin)});
  }
  // One bin with nearly all (zeros behind a relu) would flatten the rest: heights are square roots.
  const auto y_of = [&](double value) {
    return height - bottom - (most > 0 ? std::sqrt(value / most) : 0.0) * (height - top - bottom);
  };
  const auto x_of = [&](std::size_t bin) {
    return left + static_cast<double>(bin) / static_cast<double>(Histogram::bins) * (width - left - right);
  };
  std::string area = "M" + at(left) + " " + at(height - bottom);
  std::string line;
  for (std::size_t bin = 0; bin < Histogram::bins; ++bin) {
    area += " L" + at(x_of(bin)) + " " + at(y_of(share(pair.before, bin))) + " L" + at(x_of(bin + 1)) + " " +
            at(y_of(share(pair.before, bin)));
    line += std::string(bin == 0 ? "M" : " L") + at(x_of(bin)) + " " + at(y_of(share(pair.after, bin))) + " L" +
            at(x_of(bin + 1)) + " " + at(y_of(share(pair.after, bin)));
  }
  area += " L" + at(width - right) + " " + at(height - bottom) + " Z";
  std::string svg = begin_svg(title, width, height);
  svg += "<path d=\"" + area + "\" class=\"fill before\"/>\n<path d=\"" + line + "\" class=\"line after\"/>\n";
  svg += line_at(left, height - bottom, width - right, height - bottom, "axis");
  if (pair.before.least < 0 && pair.before.most > 0) {
    const double zero = left - pair.before.least / (pair.before.most - pair.before.least) * (width - left - right);
    svg += line_at(zero, height - bottom, zero, height - bottom + 4, "axis");
    if (zero > 60 && zero < width - 60) svg += text_at(zero, height - 6, "middle", "0", "quiet");
  }
  svg += text_at(left, height - 6, "start", significant(pair.before.least), "quiet");
  svg += text_at(width - right, height - 6, "end", significant(pair.before.most), "quiet");
  return svg + end_svg;
}

std::string radar_chart(const std::string& title, const std::vector<std::string>& axes,
                        const std::vector<RadarShape>& shapes) {
  constexpr double radius = 120, middle_x = chart_width / 2 - 60, middle_y = 150, height = 310;
  const auto point = [&](std::size_t axis, double value, double extra) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(axis) / static_cast<double>(axes.size());
    const double length = radius * value + extra;
    return std::pair{middle_x + length * std::sin(angle), middle_y - length * std::cos(angle)};
  };
  const auto closed = [&](const auto& value_of) {
    std::string points;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      const auto [x, y] = point(axis, value_of(axis), 0);
      points += (axis == 0 ? "" : " ") + at(x) + "," + at(y);
    }
    return points;
  };
  std::string svg = begin_svg(title, chart_width, height);
  for (const double ring : {0.25, 0.5, 0.75, 1.0}) {
    svg += "<polygon points=\"" + closed([&](std::size_t) { return ring; }) + "\" class=\"grid\"/>\n";
  }
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const auto [x, y] = point(axis, 1, 0);
    svg += line_at(middle_x, middle_y, x, y, "grid");
    const auto [text_x, text_y] = point(axis, 1, 12);
    const char* anchor = text_x > middle_x + 8 ? "start" : text_x < middle_x - 8 ? "end" : "middle";
    svg += text_at(text_x, text_y + 4, anchor, axes[axis], "quiet");
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::string kind = "s" + std::to_string(i % shape_colours);
    svg += "<polygon points=\"" + closed([&](std::size_t axis) { return shapes[i].values[axis]; }) +
           "\" class=\"shape " + kind + "\"/>\n";
    const double y = 30 + 20 * static_cast<double>(i);
    svg += line_at(chart_width - 170, y - 4, chart_width - 146, y - 4, "shape " + kind);
    svg += text_at(chart_width - 138, y, "start", cut_short(shapes[i].label, 24));
  }
  return svg + end_svg;
}

}  // namespace outcrop::analyze
