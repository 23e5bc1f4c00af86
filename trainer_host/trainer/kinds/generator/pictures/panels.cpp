#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::generator {
namespace {

using namespace data::grid;

constexpr std::size_t time_step_shown = 4;  // of 1 ms; a 15 Hz wavelet needs no finer picture

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

std::string tics(const PanelPlace& place, const char* x_label, const char* y_label,
                 const char* y_tics) {
  std::string text = "set xtics 0.2 scale 0.4 offset 0,0.4\nset ytics ";
  text += y_tics;
  text += " scale 0.4 offset 0.6,0\n";
  text += place.last_row
              ? "set format x '%.1f'\nset xlabel '" + std::string(x_label) + "' offset 0,0.9\n"
              : "set format x ''\nunset xlabel\n";
  text += place.first_column
              ? "set format y '%.1f'\nset ylabel '" + std::string(y_label) + "' offset 1.4,0\n"
              : "set format y ''\nunset ylabel\n";
  return text;
}

std::string corner_note(const std::string& note) {
  if (note.empty()) return {};
  return "set label " + evaluate::quoted(note) + " at graph 0.04, graph 0.075 left front boxed font ',8'\n";
}

// Headings, notes and the colour bar are drawn with one panel, not again with the next.
constexpr const char* said_once = "unset label\nunset colorbox\n";

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

std::string map_panel(const std::vector<float>& map, const PanelPlace& place,
                      const std::string& note) {
  const double cell = spacing / 1000.0;
  return matrix(map, width, 1, "%.0f", [](std::size_t) { return 1.0; }) + margins(place) +
         tics(place, "distance (km)", "depth (km)", "0.2") + corner_note(note) +
         "set xrange [0:0.7]\nset yrange [0.7:0]\nplot $m matrix using (($1 + 0.5) * " +
         number(cell) + "):(($2 + 0.5) * " + number(cell) + "):3 with image notitle\n" + said_once;
}

std::string gather_panel(const std::vector<float>& gather, const PanelPlace& place,
                         const std::string& note) {
  const double seconds = time_step * static_cast<double>(time_step_shown);
  // Sample i is the pressure at (i + 1) ms.
  const auto gain = [](std::size_t row) { return time_step * static_cast<double>(row + 1); };
  return matrix(gather, width, time_step_shown, "%.3g", gain) + margins(place) +
         tics(place, "receiver (km)", "time (s)", "0.2") + corner_note(note) +
         "set xrange [0:0.7]\nset yrange [1:0]\nplot $m matrix using (($1 + 0.5) * " +
         number(spacing / 1000.0) + "):(($2 + 0.5) * " + number(seconds) +
         "):3 with image notitle\n" + said_once;
}

std::string text_at(const std::string& text, double x, double y, PixelSize picture,
                    const std::string& style) {
  return "set label " + evaluate::quoted(text) + " at screen " + number(x / picture.width) + ", screen " +
         number(1 - y / picture.height) + " " + style + "\n";
}

std::string velocity_bar(int x, int block, PixelSize picture) {
  return bar(x, block, picture, "velocity (m/s)", "") + "set cbrange [1500:4500]\nset cbtics " +
         (bar_width(block) < 250 ? "1000" : "500") + "\n";
}

std::string pressure_bar(int x, int block, PixelSize picture) {
  return bar(x, block, picture, "pressure × time (s), clipped",
             "gain in time; the same scale in every picture") +
         "set cbrange [" + number(-gather_clip) + ":" + number(gather_clip) + "]\nset cbtics " +
         number(gather_clip / 2) + "\nset format cb '%g'\n";
}

}  // namespace outcrop::generator
