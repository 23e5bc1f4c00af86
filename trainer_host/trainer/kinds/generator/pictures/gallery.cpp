#include "trainer_host/trainer/kinds/generator/pictures/gallery.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <sstream>

#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

namespace outcrop::generator {
namespace {

// Pixels.
constexpr int left = 96;
constexpr int middle = 84;  // between maps and gathers: their time axis
constexpr int right = 28;
constexpr int top = 84;
constexpr int headings_height = 26;
constexpr int between_kinds = 14;
constexpr int bottom = 142;
constexpr int map_columns = 2;
constexpr int gather_columns = 3;
constexpr int step = panel + panel_gap;
constexpr int maps_width = map_columns * step - panel_gap;
constexpr int gathers_left = left + maps_width + middle;
constexpr int gathers_width = gather_columns * step - panel_gap;
constexpr int picture_width = gathers_left + gathers_width + right;

constexpr int columns = map_columns + gather_columns;
static_assert(FilmStrip::frames == columns);
using Headings = std::array<std::string, columns>;
const Headings of_data{"true map", "reconstructed map", "true gather", "reconstructed gather",
                           "difference"};
const Headings of_noise{"nearest training map", "generated map", "solver's gather of it",
                            "generated gather", "difference"};

// A row and where it stands.
struct PlacedRow {
  const GalleryRow* row;
  int y;
};
struct PlacedStrip {
  const FilmStrip* strip;
  int y;
};

int column_left(int column) {
  return column < map_columns ? left + column * step : gathers_left + (column - map_columns) * step;
}

std::vector<float> difference(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> result(a.size());
  std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::minus<>());
  return result;
}

// Everything around the panels, and the rows with their places.
class Layout {
 public:
  explicit Layout(const Gallery& gallery) {
    add(gallery.reconstructed, of_data);
    if (!gallery.reconstructed.empty() && !gallery.strips.empty()) y_ += between_kinds;
    add_strips(gallery);
    if (y_ > top && !gallery.generated.empty()) y_ += between_kinds;
    Headings headings = of_noise;
    const auto none = [](const GalleryRow& row) { return row.reference_map.empty(); };
    if (std::all_of(gallery.generated.begin(), gallery.generated.end(), none)) headings[0] = "";
    add(gallery.generated, headings);
  }

  [[nodiscard]] PixelSize size() const {
    return {.width = picture_width, .height = y_ - panel_gap + bottom};
  }
  [[nodiscard]] const std::vector<PlacedRow>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<PlacedStrip>& strips() const { return strips_; }

  [[nodiscard]] std::string frame(const Gallery& gallery) const {
    std::string text =
        text_at(gallery.title, left, 26, size(), "left font ',14'") +
        text_at(gallery.caption, left, 52, size(), "left font ',10' tc rgb '#505050'");
    for (const auto& [y, headings] : headings_) {
      for (int column = 0; column < columns; ++column) {
        text += text_at(headings[static_cast<std::size_t>(column)], column_left(column) + panel / 2,
                        y + 12, size(), "center font ',10'");
      }
    }
    const auto label = [&](const std::string& words, int y) {
      text += text_at(words, 22, y + panel / 2, size(), "center rotate by 90 font ',10'");
    };
    for (const PlacedRow& placed : rows_) label(placed.row->label, placed.y);
    for (const PlacedStrip& placed : strips_) label(placed.strip->label, placed.y);
    return text;
  }

 private:
  void add_strips(const Gallery& gallery) {
    if (gallery.strips.empty()) return;
    Headings headings;
    std::copy_n(gallery.strip_headings.begin(), std::min(gallery.strip_headings.size(), headings.size()), headings.begin());
    headings_.emplace_back(y_, headings);
    y_ += headings_height;
    for (const FilmStrip& strip : gallery.strips) {
      strips_.push_back({&strip, y_});
      y_ += step;
    }
  }

  void add(const std::vector<GalleryRow>& rows, const Headings& headings) {
    if (rows.empty()) return;
    headings_.emplace_back(y_, headings);
    y_ += headings_height;
    for (const GalleryRow& row : rows) {
      rows_.push_back({&row, y_});
      y_ += step;
    }
  }

  int y_ = top;
  std::vector<PlacedRow> rows_;
  std::vector<PlacedStrip> strips_;
  std::vector<std::pair<int, Headings>> headings_;
};

std::string maps(const GalleryRow& row, PanelPlace place, const PanelScale& scale) {
  std::string text;
  if (!row.reference_map.empty()) text = map_panel(row.reference_map, place, {}, scale);
  // The axis goes to the leftmost map that there is.
  place.first_column = row.reference_map.empty();
  place.x += step;
  return text + map_panel(row.model_map, place, row.map_note, scale);
}

std::string film_strip(const FilmStrip& strip, int y, PixelSize picture, const PanelScale& scale) {
  std::string text;
  for (std::size_t i = 0; i < std::min(strip.maps.size(), FilmStrip::frames); ++i) {
    text += map_panel(strip.maps[i],
                      {.x = column_left(static_cast<int>(i)), .y = y, .picture = picture, .first_column = i == 0, .last_row = false},
                      {}, scale);
  }
  return text;
}

std::string gathers(const GalleryRow& row, PanelPlace place, const PanelScale& scale) {
  std::string text = gather_panel(row.solver_gather, place, {}, scale);
  place.first_column = false;
  place.x += step;
  text += gather_panel(row.model_gather, place, row.gather_note, scale);
  place.x += step;
  return text + gather_panel(difference(row.solver_gather, row.model_gather), place, {}, scale);
}

}  // namespace

Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png) {
  const Layout layout(gallery);
  if (layout.rows().empty()) return fail(ErrorCode::invalid_argument, "a gallery without rows");
  const PixelSize size = layout.size();
  const PanelScale scale = scale_of(gallery.geometry);
  std::ostringstream script;
  script << panel_style << layout.frame(gallery);
  for (const bool of_maps : {true, false}) {
    script << (of_maps ? velocity_palette : seismic_palette)
           << (of_maps ? velocity_bar(left, maps_width, size, scale)
                       : pressure_bar(gathers_left, gathers_width, size, scale));
    for (const PlacedRow& placed : layout.rows()) {
      const PanelPlace place{.x = of_maps ? left : gathers_left,
                             .y = placed.y,
                             .picture = size,
                             .first_column = true,
                             .last_row = &placed == &layout.rows().back()};
      script << (of_maps ? maps(*placed.row, place, scale) : gathers(*placed.row, place, scale));
    }
    for (const PlacedStrip& placed : layout.strips()) {
      if (of_maps) script << film_strip(*placed.strip, placed.y, size, scale);
    }
  }
  script << "unset multiplot\n";
  return evaluate::draw(script.str(), size, png);
}

}  // namespace outcrop::generator
