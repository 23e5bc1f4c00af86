#include <array>
#include <sstream>

#include "trainer_host/trainer/evaluate/charts.hpp"
#include "trainer_host/trainer/evaluate/panels.hpp"

namespace outcrop::evaluate {
namespace {

// Pixels.
constexpr int left = 96;
constexpr int middle = 84;  // between maps and gathers: their time axis
constexpr int right = 28;
constexpr int top = 108;
constexpr int bottom = 128;
constexpr int columns_each = 3;
constexpr int block = columns_each * panel + (columns_each - 1) * panel_gap;
constexpr int picture_width = left + 2 * block + middle + right;

double amplitude_of_true(const std::vector<GalleryRow>& rows) {
  std::vector<float> pressures;
  for (const GalleryRow& row : rows) {
    pressures.insert(pressures.end(), row.true_gather.begin(), row.true_gather.end());
  }
  return amplitude_shown(std::move(pressures));
}

// Everything around the panels, drawn with the first of them.
std::string frame(const Gallery& gallery, PixelSize size) {
  std::string text = text_at(gallery.title, left, 26, size, "left font ',14'") +
                     text_at(gallery.caption, left, 52, size, "left font ',10' tc rgb '#505050'");
  const std::array<const char*, 6> headings{
      "true map",    "reconstructed map",    "generated map",
      "true gather", "reconstructed gather", "generated gather"};
  for (int i = 0; i < 2 * columns_each; ++i) {
    const int x = left + (i % columns_each) * (panel + panel_gap) +
                  (i >= columns_each ? block + middle : 0) + panel / 2;
    text +=
        text_at(headings[static_cast<std::size_t>(i)], x, top - 14, size, "center font ',10.5'");
  }
  for (std::size_t row = 0; row < gallery.rows.size(); ++row) {
    const int y = top + static_cast<int>(row) * (panel + panel_gap) + panel / 2;
    text += text_at(gallery.rows[row].label, 22, y, size, "center rotate by 90 font ',10'");
  }
  return text;
}

}  // namespace

Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png) {
  if (gallery.rows.empty()) return fail(ErrorCode::invalid_argument, "a gallery without rows");
  const int rows = static_cast<int>(gallery.rows.size());
  const PixelSize size{.width = picture_width,
                       .height = top + rows * panel + (rows - 1) * panel_gap + bottom};
  std::ostringstream script;
  script << panel_style << frame(gallery, size);
  for (const bool maps : {true, false}) {
    const int x0 = maps ? left : left + block + middle;
    script << (maps ? velocity_palette : seismic_palette)
           << (maps ? velocity_bar(x0, block, size)
                    : pressure_bar(x0, block, size, amplitude_of_true(gallery.rows)));
    for (int row = 0; row < rows; ++row) {
      const GalleryRow& shown = gallery.rows[static_cast<std::size_t>(row)];
      const std::array<const std::vector<float>*, 3> images =
          maps ? std::array{&shown.true_map, &shown.reconstructed_map, &shown.generated_map}
               : std::array{&shown.true_gather, &shown.reconstructed_gather,
                            &shown.generated_gather};
      for (int column = 0; column < columns_each; ++column) {
        const PanelPlace place{.x = x0 + column * (panel + panel_gap),
                               .y = top + row * (panel + panel_gap),
                               .picture = size,
                               .first_column = column == 0,
                               .last_row = row == rows - 1};
        const auto& image = *images[static_cast<std::size_t>(column)];
        script << (maps ? map_panel(image, place,
                                    column == 1 ? shown.reconstruction_note : std::string())
                        : gather_panel(image, place));
        // Titles, labels and the colour bar once; panels keep their own.
        script << "unset label\nunset colorbox\n";
      }
    }
  }
  script << "unset multiplot\n";
  return draw(script.str(), size, png);
}

}  // namespace outcrop::evaluate
