#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/evaluate/charts.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::evaluate {
namespace {

using namespace data::grid;

// Pixels.
constexpr int panel = 175;
constexpr int gap = 12;
constexpr int left = 96;
constexpr int middle = 84;  // between maps and gathers: their time axis
constexpr int right = 28;
constexpr int top = 108;
constexpr int bottom = 128;
constexpr int columns_each = 3;
constexpr int block = columns_each * panel + (columns_each - 1) * gap;
constexpr int picture_width = left + 2 * block + middle + right;

constexpr std::size_t time_step_shown = 4;  // of 1 ms; a 15 Hz wavelet needs no finer picture

// Viridis: even steps look even, also in grey and to the colour-blind.
constexpr const char* velocity_palette =
    "set palette defined (0 '#440154', 1 '#482878', 2 '#3e4989', 3 '#31688e', 4 '#26828e', "
    "5 '#1f9e89', 6 '#35b779', 7 '#6ece58', 8 '#b5de2b', 9 '#fde725')\n";
constexpr const char* seismic_palette = "set palette defined (0 '#000000', 1 '#f8f8f8')\n";

std::string number(double value, const char* format = "%.5f") {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

struct Place {
  int x = 0;
  int y = 0;       // from the top
  int height = 0;  // of the picture

  [[nodiscard]] std::string margins() const {
    const double w = picture_width;
    const double h = height;
    return "set lmargin at screen " + number(x / w) + "\nset rmargin at screen " +
           number((x + panel) / w) + "\nset tmargin at screen " + number(1 - y / h) +
           "\nset bmargin at screen " + number(1 - (y + panel) / h) + "\n";
  }
};

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

// The smallest bound that 96 % of the true amplitudes keep to: reflections show, the direct wave
// is clipped.
double amplitude_shown(const std::vector<GalleryRow>& rows) {
  std::vector<float> amplitudes;
  for (const GalleryRow& row : rows) {
    for (const float value : row.true_gather) amplitudes.push_back(std::fabs(value));
  }
  const auto at = amplitudes.begin() + static_cast<std::ptrdiff_t>(amplitudes.size() * 96 / 100);
  std::nth_element(amplitudes.begin(), at, amplitudes.end());
  return std::max(1e-3, static_cast<double>(*at));
}

std::string tics(bool first_column, bool last_row, const char* x_label, const char* y_label,
                 const char* y_tics) {
  std::string text = "set xtics 0.2 scale 0.4 offset 0,0.4\nset ytics ";
  text += y_tics;
  text += " scale 0.4 offset 0.6,0\n";
  text += last_row ? "set format x '%.1f'\nset xlabel '" + std::string(x_label) + "' offset 0,0.9\n"
                   : "set format x ''\nunset xlabel\n";
  text += first_column
              ? "set format y '%.1f'\nset ylabel '" + std::string(y_label) + "' offset 1.4,0\n"
              : "set format y ''\nunset ylabel\n";
  return text;
}

std::string map_panel(const std::vector<float>& map, const Place& place, bool first_column,
                      bool last_row, const std::string& note) {
  const double cell = spacing / 1000.0;
  std::string text = matrix(map, width, 1, "%.0f") + place.margins() +
                     tics(first_column, last_row, "distance (km)", "depth (km)", "0.2") +
                     "set xrange [0:0.7]\nset yrange [0.7:0]\n";
  if (!note.empty()) {
    text +=
        "set label 1 " + quoted(note) + " at graph 0.04, graph 0.075 left front boxed font ',8'\n";
  }
  text += "plot $m matrix using (($1 + 0.5) * " + number(cell) + "):(($2 + 0.5) * " + number(cell) +
          "):3 with image notitle\n";
  return text + "unset label 1\n";
}

std::string gather_panel(const std::vector<float>& gather, const Place& place, bool first_column,
                         bool last_row) {
  const double seconds = time_step * static_cast<double>(time_step_shown);
  return matrix(gather, width, time_step_shown, "%.3g") + place.margins() +
         tics(first_column, last_row, "receiver (km)", "time (s)", "0.2") +
         "set xrange [0:0.7]\nset yrange [1:0]\n" + "plot $m matrix using (($1 + 0.5) * " +
         number(spacing / 1000.0) + "):(($2 + 0.5) * " + number(seconds) +
         "):3 with image notitle\n";
}

std::string text_at(const std::string& text, double x, double y, int height,
                    const std::string& style) {
  return "set label " + quoted(text) + " at screen " + number(x / picture_width) + ", screen " +
         number(1 - y / height) + " " + style + "\n";
}

// Everything around the panels, drawn with the first of them.
std::string frame(const Gallery& gallery, int height) {
  std::string text = text_at(gallery.title, left, 26, height, "left font ',14'") +
                     text_at(gallery.caption, left, 52, height, "left font ',10' tc rgb '#505050'");
  const std::array<const char*, 6> headings{
      "true map",    "reconstructed map",    "generated map",
      "true gather", "reconstructed gather", "generated gather"};
  for (int i = 0; i < 2 * columns_each; ++i) {
    const int x = left + (i % columns_each) * (panel + gap) +
                  (i >= columns_each ? block + middle : 0) + panel / 2;
    text +=
        text_at(headings[static_cast<std::size_t>(i)], x, top - 14, height, "center font ',10.5'");
  }
  for (std::size_t row = 0; row < gallery.rows.size(); ++row) {
    const int y = top + static_cast<int>(row) * (panel + gap) + panel / 2;
    text += text_at(gallery.rows[row].label, 22, y, height, "center rotate by 90 font ',10'");
  }
  return text;
}

// A horizontal bar below a block of panels.
std::string colour_bar(int x, int height, const std::string& label, const std::string& range) {
  const double w = picture_width;
  const double h = height;
  return "set colorbox horizontal user origin screen " + number((x + block / 4) / w) + ", screen " +
         number(52 / h) + " size screen " + number(block / 2 / w) + ", screen " + number(12 / h) +
         "\nset cblabel " + quoted(label) + " offset 0,0.9\nset cbtics scale 0.4 offset 0,0.4\n" +
         range;
}

}  // namespace

Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png) {
  if (gallery.rows.empty()) return fail(ErrorCode::invalid_argument, "a gallery without rows");
  const int rows = static_cast<int>(gallery.rows.size());
  const int height = top + rows * panel + (rows - 1) * gap + bottom;
  std::ostringstream script;
  script << "set multiplot\nset border lc rgb '#606060' lw 0.6\nset tics out nomirror front "
            "font ',8'\nset xlabel font ',9'\nset ylabel font ',9'\nset cbtics font ',8'\n"
            "set style textbox opaque fillcolor rgb '#ffffff' noborder margins 0.6, 0.5\n"
         << frame(gallery, height);
  for (const bool maps : {true, false}) {
    const int x0 = maps ? left : left + block + middle;
    const double amplitude = amplitude_shown(gallery.rows);
    script << (maps ? velocity_palette : seismic_palette)
           << colour_bar(x0, height, maps ? "velocity (m/s)" : "pressure (clipped)",
                         maps ? "set cbrange [1500:4500]\nset cbtics 500\n"
                              : "set cbrange [" + number(-amplitude) + ":" + number(amplitude) +
                                    "]\nset cbtics autofreq\nset format cb '%g'\n");
    for (int row = 0; row < rows; ++row) {
      const GalleryRow& shown = gallery.rows[static_cast<std::size_t>(row)];
      const std::array<const std::vector<float>*, 3> images =
          maps ? std::array{&shown.true_map, &shown.reconstructed_map, &shown.generated_map}
               : std::array{&shown.true_gather, &shown.reconstructed_gather,
                            &shown.generated_gather};
      for (int column = 0; column < columns_each; ++column) {
        const Place place{x0 + column * (panel + gap), top + row * (panel + gap), height};
        const auto& image = *images[static_cast<std::size_t>(column)];
        const bool last = row == rows - 1;
        script << (maps ? map_panel(image, place, column == 0, last,
                                    column == 1 ? shown.reconstruction_note : std::string())
                        : gather_panel(image, place, column == 0, last));
        // Titles, labels and the colour bar once; panels keep their own.
        script << "unset label\nunset colorbox\n";
      }
    }
  }
  script << "unset multiplot\n";
  return draw(script.str(), {.width = picture_width, .height = height}, png);
}

}  // namespace outcrop::evaluate
