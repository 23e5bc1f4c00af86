#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace outcrop::generator {
namespace {

constexpr std::size_t steps_shown = 250;  // of a gather; a second of 15 Hz needs no finer picture

std::string margins(const PanelPlace& place) {
  const double w = place.picture.width;
  const double h = place.picture.height;
  return "set lmargin at screen " + number(place.x / w) + "\nset rmargin at screen " +
         number((place.x + panel) / w) + "\nset tmargin at screen " + number(1 - place.y / h) +
         "\nset bmargin at screen " + number(1 - (place.y + panel) / h) + "\n";
}

// Every n-th row, times a factor of its own.
template <class Gain>
std::string matrix(const std::vector<float>& values, std::size_t columns, std::size_t every,
                   const char* format, Gain gain) {
  std::string text = "$m << EOD\n";
  for (std::size_t row = 0; row * columns < values.size(); row += every) {
    for (std::size_t column = 0; column < columns; ++column) {
      text += number(values[row * columns + column] * gain(row), format);
      text += column + 1 < columns ? ' ' : '\n';
    }
  }
  return text + "EOD\n";
}

// A side of a panel: what it shows, and how far it goes.
struct Side {
  std::string label;  // "depth (km)"
  double extent;

  // 0.2 up to one kilometre or second; else the least of 1, 2 and 5 times a power of ten that gives five
  // tics at most.
  [[nodiscard]] double tic() const {
    if (extent > 0.4 && extent <= 1.0) return 0.2;
    const double power = std::pow(10.0, std::floor(std::log10(extent / 5.0)));
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (extent <= 5.0 * factor * power) return factor * power;
    }
    return 10.0 * power;
  }
  [[nodiscard]] std::string format() const {
    return tic() >= 1.0 ? "'%.0f'" : tic() >= 0.1 ? "'%.1f'" : "'%.2f'";
  }
};

std::string tics(const PanelPlace& place, const Side& x, const Side& y) {
  std::string text = "set xtics " + number(x.tic(), "%g") +
                     " scale 0.4 offset 0,0.4\nset ytics " + number(y.tic(), "%g") +
                     " scale 0.4 offset 0.6,0\n";
  text += place.last_row
              ? "set format x " + x.format() + "\nset xlabel '" + x.label + "' offset 0,0.9\n"
              : "set format x ''\nunset xlabel\n";
  text += place.first_column
              ? "set format y " + y.format() + "\nset ylabel '" + y.label + "' offset 1.4,0\n"
              : "set format y ''\nunset ylabel\n";
  return text;
}

std::string corner_note(const std::string& note) {
  if (note.empty()) return {};
  return "set label " + evaluate::quoted(note) + " at graph 0.04, graph 0.075 left front boxed font ',8'\n";
}

// Headings, notes and the colour bar are drawn with one panel, not again with the next.
constexpr const char* said_once = "unset label\nunset colorbox\n";

// The matrix $m over both sides, row 0 above, in steps of `column` and `row`.
std::string image(const PanelPlace& place, const std::string& note, const Side& x, double column,
                  const Side& y, double row) {
  return margins(place) + tics(place, x, y) + corner_note(note) + "set xrange [0:" +
         number(x.extent, "%.8g") + "]\nset yrange [" + number(y.extent, "%.8g") +
         ":0]\nplot $m matrix using (($1 + 0.5) * " + number(column, "%.8g") + "):(($2 + 0.5) * " +
         number(row, "%.8g") + "):3 with image notitle\n" + said_once;
}

std::string axis(const char* what, const char* unit) {
  return std::string(what) + " (" + unit + ")";
}

double length(std::size_t count, double each) {
  return static_cast<double>(count) * each;
}

// Half as wide as its block; more where figures would stand too close.
int bar_width(int block) {
  return std::max(block / 2, std::min(block * 4 / 5, 240));
}

std::string bar(int x, int block, PixelSize picture, const std::string& label,
                const std::string& note) {
  const int bar = bar_width(block);
  const double w = picture.width;
  const double h = picture.height;
  return "set colorbox horizontal user origin screen " + number((x + (block - bar) / 2) / w) +
         ", screen " + number(66 / h) + " size screen " + number(bar / w) + ", screen " +
         number(12 / h) + "\nset cbtics scale 0.4 offset 0,0.4\n" +
         text_at(label, x + block / 2, picture.height - 32, picture, "center font ',10'") +
         text_at(note, x + block / 2, picture.height - 15, picture,
                 "center font ',8' tc rgb '#505050'");
}

}  // namespace

std::string number(double value, const char* format) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

PanelScale scale_of(const data::Geometry& geometry) {
  return {.columns = geometry.width,
          .cell = geometry.spacing / 1000.0,
          .step = geometry.time_step,
          .gain = geometry.time_step,
          .slowest = geometry.slowest,
          .fastest = geometry.fastest};
}

PanelScale scale_of_sizes(std::size_t columns, std::size_t times, float slowest, float fastest) {
  return {.columns = columns,
          .cell = 1.0,
          .step = 1.0,
          .gain = 1.0 / static_cast<double>(times),
          .length_unit = "cells",
          .time_unit = "steps",
          .slowest = std::min(slowest, data::grid::slowest),
          .fastest = std::max(fastest, data::grid::fastest)};
}

std::string map_panel(const std::vector<float>& map, const PanelPlace& place,
                      const std::string& note, const PanelScale& scale) {
  const std::size_t rows = map.size() / scale.columns;
  return matrix(map, scale.columns, 1, "%.0f", [](std::size_t) { return 1.0; }) +
         image(place, note,
               {axis("distance", scale.length_unit), length(scale.columns, scale.cell)}, scale.cell,
               {axis("depth", scale.length_unit), length(rows, scale.cell)}, scale.cell);
}

std::string gather_panel(const std::vector<float>& gather, const PanelPlace& place,
                         const std::string& note, const PanelScale& scale) {
  const std::size_t rows = gather.size() / scale.columns;
  const std::size_t every = std::max<std::size_t>(1, rows / steps_shown);
  // Sample i is the pressure at (i + 1) time steps.
  const auto gain = [&](std::size_t row) { return scale.gain * static_cast<double>(row + 1); };
  return matrix(gather, scale.columns, every, "%.3g", gain) +
         image(place, note,
               {axis("receiver", scale.length_unit), length(scale.columns, scale.cell)}, scale.cell,
               {axis("time", scale.time_unit), length(rows, scale.step)},
               length(every, scale.step));
}

std::string text_at(const std::string& text, double x, double y, PixelSize picture,
                    const std::string& style) {
  return "set label " + evaluate::quoted(text) + " at screen " + number(x / picture.width) + ", screen " +
         number(1 - y / picture.height) + " " + style + "\n";
}

std::string velocity_bar(int x, int block, PixelSize picture, const PanelScale& scale) {
  const double range = static_cast<double>(scale.fastest) - static_cast<double>(scale.slowest);
  const double tic = range < 1500.0 ? 250.0 : 500.0;
  const double wide = range > 3500.0 ? 2.0 : 1.0;
  return bar(x, block, picture, "velocity (m/s)", "") + "set cbrange [" +
         number(scale.slowest, "%g") + ":" + number(scale.fastest, "%g") + "]\nset cbtics " +
         number(tic * wide * (bar_width(block) < 250 ? 2.0 : 1.0), "%g") + "\n";
}

std::string spread_bar(int x, int block, PixelSize picture, float most) {
  return bar(x, block, picture, "m/s", "") + "set cbrange [0:" + number(static_cast<double>(most), "%g") + "]\nset cbtics " +
         number(most > 800.0F ? 500.0 : most > 400.0F ? 200.0 : 100.0, "%g") + "\nset format cb '%g'\n";
}

std::string pressure_bar(int x, int block, PixelSize picture, const PanelScale& scale) {
  const bool seconds = std::string_view(scale.time_unit) == "s";
  return bar(x, block, picture,
             seconds ? "pressure × time (s), clipped" : "pressure × share of the record, clipped",
             "gain in time; the same scale in every picture") +
         "set cbrange [" + number(-gather_clip) + ":" + number(gather_clip) + "]\nset cbtics " +
         number(gather_clip / 2) + "\nset format cb '%g'\n";
}

}  // namespace outcrop::generator
