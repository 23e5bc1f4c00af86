#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::generator {

using evaluate::PixelSize;

// Velocity maps and shot gathers as gnuplot images, laid out in pixels from the upper left corner:
// what galleries and pictures of single samples are put together from.

inline constexpr int panel = 175;  // pixels a side
inline constexpr int panel_gap = 12;

// Viridis: even steps look even, also in grey and to the colour-blind.
inline constexpr const char* velocity_palette =
    "set palette defined (0 '#440154', 1 '#482878', 2 '#3e4989', 3 '#31688e', 4 '#26828e', "
    "5 '#1f9e89', 6 '#35b779', 7 '#6ece58', 8 '#b5de2b', 9 '#fde725')\n";
// From nothing, white, on: what differs.
inline constexpr const char* spread_palette = "set palette defined (0 '#ffffff', 1 '#fdae6b', 2 '#d94801', 3 '#4a1486')\n";
inline constexpr const char* seismic_palette = "set palette defined (0 '#000000', 1 '#f8f8f8')\n";

// What stands before the first panel: borders, tics, fonts.
inline constexpr const char* panel_style =
    "set multiplot\nset border lc rgb '#606060' lw 0.6\nset tics out nomirror front "
    "font ',8'\nset xlabel font ',9'\nset ylabel font ',9'\nset cbtics font ',8'\n"
    "set style textbox opaque fillcolor rgb '#ffffff' noborder margins 0.6, 0.5\n";

[[nodiscard]] std::string number(double value, const char* format = "%.5f");

// Gathers are shown on one scale in every picture, so that pictures can be compared: pressure times
// the time in seconds, since reflections fade as they come later, clipped at this. The direct wave
// is clipped near its source; the strongest reflections of OpenFWI's families just fit.
inline constexpr double gather_clip = 0.5;

// What the cells and steps of a panel stand for.
struct PanelScale {
  std::size_t columns = data::grid::width;
  double cell = 0.01;    // along both sides of a map
  double step = 0.001;   // between recorded steps
  double gain = 0.001;   // what a step's pressure is multiplied by, times its number from 1
  const char* length_unit = "km";
  const char* time_unit = "s";
  float slowest = data::grid::slowest;  // of the colours
  float fastest = data::grid::fastest;
};
[[nodiscard]] PanelScale scale_of(const data::Geometry& geometry);
// Of maps and gathers of which nothing is known but their sizes: cells and steps, coloured from
// `slowest` to `fastest` or the bounds of OpenFWI, whichever lie further out; a gather's gain is 1 at
// its end.
[[nodiscard]] PanelScale scale_of_sizes(std::size_t columns, std::size_t times, float slowest,
                                        float fastest);

struct PanelPlace {
  int x = 0;
  int y = 0;
  PixelSize picture;
  bool first_column = true;  // with the vertical axis
  bool last_row = true;      // with the horizontal axis
};

// Either panel takes along the labels and the colour bar that were set before it.
//
// Rows of values in m/s, row 0 at the surface; `note` in its corner.
[[nodiscard]] std::string map_panel(const std::vector<float>& map, const PanelPlace& place,
                                    const std::string& note = {}, const PanelScale& scale = {});
// One shot: a row of pressures for each step, `note` in its corner.
[[nodiscard]] std::string gather_panel(const std::vector<float>& gather, const PanelPlace& place,
                                       const std::string& note = {}, const PanelScale& scale = {});

// `style` is gnuplot's: "center font ',10'".
[[nodiscard]] std::string text_at(const std::string& text, double x, double y, PixelSize picture,
                                  const std::string& style);

// Horizontal bars at the picture's foot, centred below a block of panels from x on.
[[nodiscard]] std::string velocity_bar(int x, int width, PixelSize picture,
                                       const PanelScale& scale = {});
// From 0 to `most` m/s.
[[nodiscard]] std::string spread_bar(int x, int width, PixelSize picture, float most);
[[nodiscard]] std::string pressure_bar(int x, int width, PixelSize picture,
                                       const PanelScale& scale = {});

}  // namespace outcrop::generator
