#include "trainer_host/trainer/analyze/charts.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <numbers>
#include <sstream>

#include "protocol/base/cut_short.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/summary.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

using evaluate::quoted;

constexpr const char* blue = "0x0072b2";    // as on the page
constexpr const char* orange = "0xd55e00";
constexpr std::size_t most_lines = 24;
constexpr std::size_t longest_name = 30;
constexpr double label_height = 0.085;  // of a panel
constexpr double label_width = 0.35;

// A text in a block of data.
std::string word(const std::string& text) {
  std::string safe = cut_short(text, longest_name);
  std::replace_if(safe.begin(), safe.end(),
                  [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }, '_');
  return '"' + safe + '"';
}

struct PictureBar {
  std::string name;
  double value = 0;
  double mark = 0;  // a second value on the same bar, 0 for none: p90, bytes in transfer
  bool is_float = false;
  std::string shown;
};

// One panel: a script, "" where there is nothing to be shown. `block` is a name of its own.
std::string bar_panel(const std::string& block, const std::string& title, const std::string& label,
                      const std::vector<PictureBar>& bars, const std::string& mark = "") {
  if (bars.empty()) return {};
  double most = 0;
  for (const PictureBar& bar : bars) most = std::max({most, bar.value, bar.mark});
  std::ostringstream out;
  out << "reset\n$" << block << " << EOD\n";
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const PictureBar& bar = bars[i];
    out << word(bar.name) << " " << i << " " << bar.value << " " << bar.mark << " "
        << (bar.is_float ? blue : orange) << " " << word(bar.shown) << "\n";
  }
  out << "EOD\nset title " << quoted(title) << "\nset xlabel " << quoted(label) << "\nset yrange ["
      << static_cast<double>(bars.size()) - 0.4 << ":-0.6]\nset xrange [0:" << (most > 0 ? 1.55 * most : 1)
      << "]\nset style fill solid 0.85 noborder\nset border 3 lc rgb '#808080'\nset tics nomirror\nset ytics scale 0\n"
      << "set grid x lc rgb '#d8d8d8'\nunset key\n"
      << "plot $" << block << " using ($3/2):2:($3/2):(0.36):5:ytic(1) with boxxyerror lc rgb variable, \\\n"
      << "  $" << block << " using ($4>$3?$4:$3):2:6 with labels left offset 0.8,0";
  if (!mark.empty()) {
    out << ", \\\n  $" << block << " using ($4>0?$4:NaN):2 with points pt 2 ps 1.1 lw 1.6 lc rgb '#202020'";
  }
  return out.str() + "\n";
}

template <class ValueOf>
std::vector<PictureBar> bars_from(const std::vector<Contender>& contenders, const ValueOf& bar_of) {
  std::vector<PictureBar> bars;
  for (const Contender& one : contenders) {
    auto bar = bar_of(one);
    if (!bar) continue;
    bar->name = one.name;
    bar->is_float = one.is_float;
    bars.push_back(std::move(*bar));
  }
  return bars;
}

std::string size_panel(const std::vector<Contender>& contenders) {
  const ByteUnit unit = byte_unit_of(contenders);
  const auto bars = bars_from(contenders, [&](const Contender& one) -> std::optional<PictureBar> {
    if (one.disk == 0) return std::nullopt;
    return PictureBar{"", static_cast<double>(one.disk) / unit.bytes, static_cast<double>(one.transfer) / unit.bytes,
                      false, bytes_text(one.disk) + (one.transfer > 0 ? " (" + bytes_text(one.transfer) + ")" : "")};
  });
  const bool packed = std::any_of(bars.begin(), bars.end(), [](const PictureBar& bar) { return bar.mark > 0; });
  return bar_panel("size", "Size on disk" + std::string(packed ? " (×: in transfer)" : ""), unit.name, bars,
                   packed ? "x" : "");
}

std::string memory_panel(const std::vector<Contender>& contenders) {
  return bar_panel("memory", "Peak memory of the runner, its engine included", "MB",
                   bars_from(contenders, [](const Contender& one) -> std::optional<PictureBar> {
                     if (one.memory == 0) return std::nullopt;
                     return PictureBar{"", static_cast<double>(one.memory) / 1e6, 0, false, bytes_text(one.memory)};
                   }));
}

std::string speed_panel(const std::vector<Contender>& contenders) {
  return bar_panel("speed", "Time of one call, median (×: p90)", "ms",
                   bars_from(contenders,
                             [](const Contender& one) -> std::optional<PictureBar> {
                               if (!one.p50_ms) return std::nullopt;
                               return PictureBar{"", *one.p50_ms, one.p90_ms.value_or(0.0), false,
                                                 milliseconds(one.p50_ms) +
                                                     (one.p90_ms ? " (" + milliseconds(one.p90_ms) + ")" : "")};
                             }),
                   "x");
}

std::string error_panel(const std::vector<Contender>& contenders) {
  return bar_panel("error", "Mean error of the output, against float", "",
                   bars_from(contenders, [](const Contender& one) -> std::optional<PictureBar> {
                     if (!one.error) return std::nullopt;
                     return PictureBar{"", *one.error, 0, false, significant(*one.error)};
                   }));
}

std::string layer_panel(const Analysis& analysis) {
  std::vector<PictureBar> bars;
  const auto worst = analysis.worst_first();
  for (const Layer* layer : worst) {
    const auto db = layer->output->sqnr_db();
    if (!db || bars.size() == most_lines) continue;
    bars.push_back({layer->name, std::max(0.0, *db), 0, layer->is_float(), fixed(*db, 1) + " dB"});
  }
  std::string title = "SQNR by layer, the worst first";
  if (worst.size() > bars.size()) title += " (" + std::to_string(bars.size()) + " of " + std::to_string(worst.size()) + ")";
  return bar_panel("layers", title, "dB", bars);
}

// Something of each against its size on disk.
struct Scatter {
  std::string block;  // a name of its own
  std::string title;
  std::string label;
  std::function<std::optional<Interval>(const Contender&)> value;  // low and high are drawn where they are not the value
  bool from_zero = true;
};

struct Point {
  Interval at;
  const Contender* of = nullptr;
};

// From bottom to top: values, and what intervals reach.
std::pair<double, double> reach_of(const std::vector<Point>& points, bool from_zero) {
  double low = from_zero ? 0.0 : points.front().at.low;
  double high = points.front().at.high;
  for (const Point& point : points) {
    low = std::min(low, point.at.low);
    high = std::max(high, point.at.high);
  }
  if (high > low) return {low, high};
  return {low, low + (from_zero || low == 0 ? 1 : 0.02 * std::abs(low))};
}

std::string scatter_panel(const std::vector<Contender>& contenders, const Scatter& scatter) {
  const ByteUnit unit = byte_unit_of(contenders);
  std::vector<Point> shown;
  double most_x = 0;
  for (const Contender& one : contenders) {
    const auto value = scatter.value(one);
    if (!value || one.disk == 0) continue;
    shown.push_back({*value, &one});
    most_x = std::max(most_x, static_cast<double>(one.disk) / unit.bytes);
  }
  if (shown.size() < 2) return {};
  std::stable_sort(shown.begin(), shown.end(), [](const Point& a, const Point& b) { return a.at.value < b.at.value; });
  const auto [bottom, top] = reach_of(shown, scatter.from_zero);
  const double range = top - bottom;
  std::ostringstream out;
  out << "reset\n$" << scatter.block << " << EOD\n";
  std::vector<std::pair<double, double>> labels;  // of neighbours, one above the other
  double highest = top;
  for (const auto& [at, of] : shown) {
    const double x = static_cast<double>(of->disk) / unit.bytes;
    double y = at.value;
    for (const auto& [other_x, other_y] : labels) {
      if (std::abs(x - other_x) < label_width * most_x && y < other_y + label_height * range) {
        y = other_y + label_height * range;
      }
    }
    labels.emplace_back(x, y);
    highest = std::max(highest, y);
    out << word(of->name) << " " << x << " " << at.value << " " << (of->is_float ? blue : orange) << " " << y << " "
        << at.low << " " << at.high << "\n";
  }
  const bool intervals = std::any_of(shown.begin(), shown.end(), [](const Point& one) { return one.at.high > one.at.low; });
  out << "EOD\nset title " << quoted(scatter.title + (intervals ? ", with 95 % intervals" : "")) << "\nset xlabel "
      << quoted("on disk, " + unit.name) << "\nset ylabel " << quoted(scatter.label) << "\nset xrange [0:" << 1.4 * most_x
      << "]\nset yrange [" << bottom - (scatter.from_zero ? 0.05 : 0.15) * range << ":" << highest + 0.15 * range
      << "]\nunset key\nset border 3 lc rgb '#808080'\nset tics nomirror\nset grid lc rgb '#d8d8d8'\nplot ";
  if (intervals) out << "$" << scatter.block << " using 2:3:6:7 with yerrorbars pt 0 lw 1.2 lc rgb '#909090', \\\n  ";
  out << "$" << scatter.block << " using 2:3:4 with points pt 7 ps 1.6 lc rgb variable, \\\n"
      << "  $" << scatter.block << " using 2:5:1 with labels left offset 1.2,0\n";
  return out.str();
}

std::string error_scatter_panel(const std::vector<Contender>& contenders) {
  return scatter_panel(contenders, {"points", "Error against size: the lower left corner is best", "mean error",
                                    [](const Contender& one) -> std::optional<Interval> {
                                      if (!one.error) return std::nullopt;
                                      return Interval{*one.error, *one.error, *one.error};
                                    }});
}

std::string score_scatter_panel(const std::vector<Contender>& contenders) {
  std::string metric;
  for (const Contender& one : contenders) {
    if (metric.empty() && one.score) metric = one.metric;
  }
  if (metric.empty()) return {};
  std::string title = metric + " against size";
  title.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(title.front())));
  return scatter_panel(contenders, {"scores", title, metric, [](const Contender& one) { return one.score; },
                                    /*from_zero=*/false});
}

std::string radar_panel(const std::vector<Contender>& contenders) {
  const Radar radar = radar_of(contenders);
  if (radar.axes.empty() || radar.shapes.size() < 2) return {};
  const std::size_t axes = radar.axes.size();
  const auto point = [&](std::size_t axis, double value) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(axis % axes) / static_cast<double>(axes);
    return std::to_string(value * std::sin(angle)) + " " + std::to_string(value * std::cos(angle)) + "\n";
  };
  std::ostringstream out;
  out << "reset\n$rings << EOD\n";
  for (const double ring : {0.25, 0.5, 0.75, 1.0}) {
    for (std::size_t axis = 0; axis <= axes; ++axis) out << point(axis, ring);
    out << "\n";
  }
  for (std::size_t axis = 0; axis < axes; ++axis) out << "0 0\n" << point(axis, 1.0) << "\n";
  out << "EOD\n";
  for (std::size_t i = 0; i < radar.shapes.size(); ++i) {
    out << "$shape" << i << " << EOD\n";
    for (std::size_t axis = 0; axis <= axes; ++axis) out << point(axis, radar.shapes[i].second[axis % axes]);
    out << "EOD\n";
  }
  out << "set title 'All at once: the rim is best'\nunset border\nunset tics\nset size ratio -1\n"
      << "set xrange [-3.1:1.9]\nset yrange [-1.25:1.25]\nset key left "
      << (axes == 3 ? "top" : "bottom") << " vertical Left reverse samplen 2\n";  // where no axis ends
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(axis) / static_cast<double>(axes);
    const double x = std::sin(angle);
    out << "set label " << quoted(radar.axes[axis]) << " at " << 1.1 * x << "," << 1.1 * std::cos(angle) << " "
        << (x > 0.1 ? "left" : x < -0.1 ? "right" : "center") << "\n";
  }
  static const std::vector<std::string> colours{"#0072b2", "#d55e00", "#009e73", "#9b5fa5", "#b58900", "#4a4a4a"};
  out << "plot $rings using 1:2 with lines lc rgb '#cccccc' notitle";
  for (std::size_t i = 0; i < radar.shapes.size(); ++i) {
    out << ", \\\n  $shape" << i << " using 1:2 with lines lw 2.4 lc rgb '" << colours[i % colours.size()] << "' title "
        << quoted(cut_short(radar.shapes[i].first, longest_name));
  }
  return out.str() + "\n";
}

struct Panel {
  std::string file;
  std::string script;
  int height = 0;
};

int bars_height(std::size_t count) {
  return 110 + 26 * static_cast<int>(std::clamp<std::size_t>(count, 3, most_lines));
}

Status draw_or_remove(const Panel& panel, const fs::path& folder) {
  const fs::path png = folder / panel.file;
  if (!panel.script.empty()) return evaluate::draw(panel.script, {.width = 760, .height = panel.height}, png);
  std::error_code ignored;
  fs::remove(png, ignored);
  return {};
}

int dashboard_height(std::size_t rows) {
  return 60 + 340 * static_cast<int>(rows);
}

// All of it in one picture, two beside each other.
std::string dashboard(const std::string& title, const std::vector<Panel>& panels) {
  std::vector<std::string> scripts;
  for (const Panel& panel : panels) {
    if (!panel.script.empty()) scripts.push_back(panel.script);
  }
  const std::size_t rows = (scripts.size() + 1) / 2;
  constexpr double top_pixels = 80, bottom_pixels = 56, gap_pixels = 96;
  const double height = dashboard_height(rows);
  std::string script = "set multiplot layout " + std::to_string(rows) + ",2 title " + quoted(title) +
                       " font 'DejaVu Sans,14' margins 0.16,0.97," + fixed(bottom_pixels / height, 3) + "," +
                       fixed(1.0 - top_pixels / height, 3) + " spacing 0.19," + fixed(gap_pixels / height, 3) + "\n";
  for (const std::string& one : scripts) script += one;
  return script + "unset multiplot\n";
}

Status draw_panels(const std::string& title, const std::vector<Panel>& panels, const fs::path& folder) {
  for (const Panel& panel : panels) OUTCROP_CHECK(draw_or_remove(panel, folder));
  const auto shown = std::count_if(panels.begin(), panels.end(), [](const Panel& panel) { return !panel.script.empty(); });
  if (shown == 0) return {};
  const int height = dashboard_height(static_cast<std::size_t>(shown + 1) / 2);
  return evaluate::draw(dashboard(title, panels), {.width = 1320, .height = height}, folder / "dashboard.png");
}

std::vector<Panel> cost_panels(const std::vector<Contender>& contenders) {
  const int height = bars_height(contenders.size());
  return {{"size.png", size_panel(contenders), height},
          {"speed.png", speed_panel(contenders), height},
          {"error_against_size.png", error_scatter_panel(contenders), 440},
          {"accuracy_against_size.png", score_scatter_panel(contenders), 440},
          {"memory.png", memory_panel(contenders), height},
          {"radar.png", radar_panel(contenders), 420}};
}

}  // namespace

Status draw_charts(const Analysis& analysis, const fs::path& folder) {
  OUTCROP_CHECK(evaluate::check_drawing());
  const auto contenders = contenders_of(analysis);
  std::vector<Panel> panels = cost_panels(contenders);
  const std::string layers = analysis.layers.empty() ? error_panel(contenders) : layer_panel(analysis);
  panels.insert(panels.begin(), {"error.png", layers, bars_height(analysis.layers.size())});
  return draw_panels(title_of(analysis) + " beside float", panels, folder);
}

Status draw_charts(const std::vector<Contender>& contenders, const fs::path& folder, const std::string& title) {
  OUTCROP_CHECK(evaluate::check_drawing());
  std::vector<Panel> panels = cost_panels(contenders);
  panels.insert(panels.begin(), {"error.png", error_panel(contenders), bars_height(contenders.size())});
  return draw_panels(title, panels, folder);
}

}  // namespace outcrop::analyze
