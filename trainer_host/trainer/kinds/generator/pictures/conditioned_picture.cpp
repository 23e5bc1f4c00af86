#include "trainer_host/trainer/kinds/generator/pictures/conditioned_picture.hpp"

#include <algorithm>
#include <sstream>

#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

namespace outcrop::generator {
namespace {

// Pixels.
constexpr int left = 96;
constexpr int axis = 84;   // between what is given and the maps: their labels and depth axis
constexpr int apart = 20;  // between the maps and their spread
constexpr int right = 28;
constexpr int top = 84;
constexpr int headings_height = 26;
constexpr int bottom = 142;
constexpr int step = panel + panel_gap;
constexpr int shown = static_cast<int>(ConditionedPicture::maps_shown);

constexpr int maps_left = left + panel + axis;
constexpr int spread_left = maps_left + shown * step + apart;
constexpr int picture_width = spread_left + panel + right;

float most_spread(const ConditionedPicture& picture) {
  float most = 1.0F;
  for (const auto& row : picture.rows) {
    for (const float value : row.spread) most = std::max(most, value);
  }
  return most;
}

}  // namespace

Status draw_conditioned(const ConditionedPicture& picture, const std::filesystem::path& png) {
  const int rows = static_cast<int>(picture.rows.size());
  const int first = top + headings_height;
  const PixelSize size{.width = picture_width, .height = first + rows * step - panel_gap + bottom};
  const PanelScale scale = scale_of(picture.geometry);
  std::ostringstream script;
  script << panel_style << text_at(picture.title, left, 26, size, "left font ',14'")
         << text_at(picture.caption, left, 52, size, "left font ',10' tc rgb '#505050'");
  const auto heading = [&](const std::string& words, int x, int width) {
    script << text_at(words, x + width / 2, top + 12, size, "center font ',10'");
  };
  heading(picture.given_heading, left, panel);
  heading("maps", maps_left, shown * step - panel_gap);
  const bool spreads = !picture.rows.front().spread.empty();
  if (spreads) heading("standard deviation", spread_left, panel);
  for (int row = 0; row < rows; ++row) {
    script << text_at(picture.rows[static_cast<std::size_t>(row)].label, maps_left - 62, first + row * step + panel / 2, size,
                      "center rotate by 90 font ',10'");
  }
  const auto place = [&](int x, int row, bool first_column) {
    return PanelPlace{.x = x, .y = first + row * step, .picture = size, .first_column = first_column, .last_row = row + 1 == rows};
  };
  script << velocity_palette << velocity_bar(left, maps_left + shown * step - left, size, scale);
  PanelPlace of_given = place(left, 0, true);
  of_given.last_row = true;
  script << map_panel(picture.given, of_given, {}, scale);
  for (int row = 0; row < rows; ++row) {
    const auto& maps = picture.rows[static_cast<std::size_t>(row)].maps;
    for (int column = 0; column < std::min(shown, static_cast<int>(maps.size())); ++column) {
      script << map_panel(maps[static_cast<std::size_t>(column)], place(maps_left + column * step, row, column == 0), {},
                          scale);
    }
  }
  if (spreads) {
    script << spread_palette << spread_bar(spread_left, panel, size, most_spread(picture));
    for (int row = 0; row < rows; ++row) {
      script << map_panel(picture.rows[static_cast<std::size_t>(row)].spread, place(spread_left, row, false), {}, scale);
    }
  }
  script << "unset multiplot\n";
  return evaluate::draw(script.str(), size, png);
}

}  // namespace outcrop::generator
