#include "trainer_host/trainer/evaluate/panels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::evaluate {
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

std::string matrix(const std::vector<float>& values, std::size_t columns, std::size_t every,
                   const char* format) {
  std::string text = "$m << EOD\n";
  for (std::size_t row = 0; row * columns < values.size(); row += every) {
    for (std::size_t column = 0; column < columns; ++column) {
      text += number(values[row * columns + column], format);
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

// Half as wide as its block; more where figures would stand too close.
int bar_width(int block) {
  return std::max(block / 2, std::min(block * 4 / 5, 240));
}

std::string bar(int x, int block, PixelSize picture, const std::string& label) {
  const int bar = bar_width(block);
  const double w = picture.width;
  const double h = picture.height;
  return "set colorbox horizontal user origin screen " + number((x + (block - bar) / 2) / w) +
         ", screen " + number(52 / h) + " size screen " + number(bar / w) + ", screen " +
         number(12 / h) + "\nset cblabel " + quoted(label) +
         " offset 0,0.9\nset cbtics scale 0.4 offset 0,0.4\n";
}

}  // namespace

std::string number(double value, const char* format) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

double amplitude_shown(std::vector<float> pressures) {
  if (pressures.empty()) return 1e-3;
  for (float& value : pressures) value = std::fabs(value);
  const auto at = pressures.begin() + static_cast<std::ptrdiff_t>(pressures.size() * 96 / 100);
  std::nth_element(pressures.begin(), at, pressures.end());
  return std::max(1e-3, static_cast<double>(*at));
}

std::string map_panel(const std::vector<float>& map, const PanelPlace& place,
                      const std::string& note) {
  const double cell = spacing / 1000.0;
  std::string text = matrix(map, width, 1, "%.0f") + margins(place) +
                     tics(place, "distance (km)", "depth (km)", "0.2") +
                     "set xrange [0:0.7]\nset yrange [0.7:0]\n";
  if (!note.empty()) {
    text +=
        "set label 1 " + quoted(note) + " at graph 0.04, graph 0.075 left front boxed font ',8'\n";
  }
  text += "plot $m matrix using (($1 + 0.5) * " + number(cell) + "):(($2 + 0.5) * " + number(cell) +
          "):3 with image notitle\n";
  return text + "unset label 1\n";
}

std::string gather_panel(const std::vector<float>& gather, const PanelPlace& place) {
  const double seconds = time_step * static_cast<double>(time_step_shown);
  return matrix(gather, width, time_step_shown, "%.3g") + margins(place) +
         tics(place, "receiver (km)", "time (s)", "0.2") +
         "set xrange [0:0.7]\nset yrange [1:0]\n" + "plot $m matrix using (($1 + 0.5) * " +
         number(spacing / 1000.0) + "):(($2 + 0.5) * " + number(seconds) +
         "):3 with image notitle\n";
}

std::string text_at(const std::string& text, double x, double y, PixelSize picture,
                    const std::string& style) {
  return "set label " + quoted(text) + " at screen " + number(x / picture.width) + ", screen " +
         number(1 - y / picture.height) + " " + style + "\n";
}

std::string velocity_bar(int x, int block, PixelSize picture) {
  return bar(x, block, picture, "velocity (m/s)") + "set cbrange [1500:4500]\nset cbtics " +
         (bar_width(block) < 250 ? "1000" : "500") + "\n";
}

std::string pressure_bar(int x, int block, PixelSize picture, double amplitude) {
  return bar(x, block, picture, "pressure (clipped)") + "set cbrange [" + number(-amplitude) + ":" +
         number(amplitude) + "]\nset cbtics autofreq\nset format cb '%g'\n";
}

}  // namespace outcrop::evaluate
