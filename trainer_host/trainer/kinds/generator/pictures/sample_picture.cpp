#include "trainer_host/trainer/kinds/generator/pictures/sample_picture.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

namespace outcrop::generator {
namespace {

using namespace data::grid;

// Pixels.
constexpr int left = 78;
constexpr int right = 28;
constexpr int top = 86;
constexpr int between = 46;  // maps and gathers: the maps' horizontal axis
constexpr int bottom = 142;
constexpr int narrowest = 560;  // room for two colour bars

constexpr std::size_t most_samples = 6;
constexpr const char* caption = "velocity maps above, the middle shot's gather below";

// A subsurface that a model made up, and its middle shot.
struct Sample {
  std::vector<float> map;     // 70 × 70 values in m/s, row 0 at the surface
  std::vector<float> gather;  // 1000 × 70 pressures
};

// DejaVu Sans at the sizes of title and caption: rather too wide than cut at the picture's edge.
int text_width(const std::string& title) {
  return std::min(2000, std::max(static_cast<int>(title.size()) * 10,
                                 static_cast<int>(std::string_view(caption).size()) * 7));
}

const runtime::Tensor* find(const std::vector<runtime::Tensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

// A hole in a picture looks like a colour.
Status check_finite(const runtime::Tensor& tensor) {
  const auto values = tensor.floats();
  const auto finite =
      std::count_if(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  const auto others = static_cast<std::ptrdiff_t>(values.size()) - finite;
  if (others == 0) return {};
  return fail(ErrorCode::invalid_data, std::to_string(others) + " of " +
                                           std::to_string(values.size()) + " values of '" +
                                           tensor.name + "' are NaN or infinite");
}

Result<const runtime::Tensor*> find_floats(const std::vector<runtime::Tensor>& tensors,
                                           std::string_view name,
                                           const std::vector<std::int64_t>& row_shape) {
  const runtime::Tensor* tensor = find(tensors, name);
  if (tensor != nullptr && tensor->dtype == runtime::DType::float32 &&
      tensor->shape.size() == row_shape.size() + 1 && tensor->shape[0] > 0 &&
      std::equal(row_shape.begin(), row_shape.end(), tensor->shape.begin() + 1)) {
    OUTCROP_CHECK(check_finite(*tensor));
    return tensor;
  }
  std::string shape = "[N";
  for (const std::int64_t size : row_shape) shape += ", " + std::to_string(size);
  return fail(ErrorCode::invalid_data,
              "no tensor '" + std::string(name) + "', float32 " + shape + "], in it; it has " +
                  (tensor == nullptr ? "none of that name" : runtime::describe(*tensor)));
}

Result<std::vector<Sample>> samples_in(const std::vector<runtime::Tensor>& tensors,
                                       std::size_t most) {
  OUTCROP_TRY(maps, find_floats(tensors, "velocity", {1, depth, width}));
  OUTCROP_TRY(gathers, find_floats(tensors, "seismic", {shots, times, width}));
  const auto count = std::min({static_cast<std::size_t>(maps->shape[0]),
                               static_cast<std::size_t>(gathers->shape[0]), most});
  constexpr std::size_t shot_size = times * width;
  std::vector<Sample> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto map = maps->floats().subspan(i * map_size, map_size);
    const auto gather =
        gathers->floats().subspan((i * shots + shots / 2) * shot_size, shot_size);
    samples[i].map.assign(map.begin(), map.end());
    samples[i].gather.assign(gather.begin(), gather.end());
  }
  return samples;
}

Status draw_samples(const std::vector<Sample>& samples, const std::string& title,
                    const std::filesystem::path& png) {
  const int count = static_cast<int>(samples.size());
  const int block = count * panel + (count - 1) * panel_gap;
  const int across = std::max(block, text_width(title));
  const PixelSize size{.width = std::max(left + across + right, narrowest),
                       .height = top + 2 * panel + between + bottom};
  const int half = (std::max(left + block + right, narrowest) - left - right) / 2;
  std::ostringstream script;
  script << panel_style << text_at(title, left, 26, size, "left font ',14'")
         << text_at(caption, left, 52, size, "left font ',10' tc rgb '#505050'");
  for (const bool maps : {true, false}) {
    script << (maps ? velocity_palette : seismic_palette)
           << (maps ? velocity_bar(left, half, size) : pressure_bar(left + half, half, size));
    for (int column = 0; column < count; ++column) {
      const Sample& sample = samples[static_cast<std::size_t>(column)];
      const PanelPlace place{.x = left + column * (panel + panel_gap),
                             .y = top + (maps ? 0 : panel + between),
                             .picture = size,
                             .first_column = column == 0,
                             .last_row = true};
      script << (maps ? map_panel(sample.map, place) : gather_panel(sample.gather, place));
    }
  }
  script << "unset multiplot\n";
  return evaluate::draw(script.str(), size, png);
}

}  // namespace

kinds::SamplePicture sample_picture() {
  return {"generator",
          {"velocity", "seismic"},
          [](const std::vector<runtime::Tensor>& tensors, std::size_t most,
             const std::string& title, const std::filesystem::path& png) -> Result<std::size_t> {
            OUTCROP_TRY(samples, samples_in(tensors, std::min(most, most_samples)));
            OUTCROP_CHECK(draw_samples(samples, title, png));
            return samples.size();
          }};
}

}  // namespace outcrop::generator
