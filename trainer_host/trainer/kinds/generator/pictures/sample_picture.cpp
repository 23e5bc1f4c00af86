#include "trainer_host/trainer/kinds/generator/pictures/sample_picture.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <sstream>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"

namespace outcrop::generator {
namespace {

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
  std::vector<float> map;     // rows of m/s, row 0 at the surface
  std::vector<float> gather;  // pressures, step by step
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

// A float32 tensor of four axes, `fits` its sizes; `shape` says what was looked for.
Result<const runtime::Tensor*> find_floats(
    const std::vector<runtime::Tensor>& tensors, std::string_view name, const std::string& shape,
    const std::function<bool(const std::vector<std::int64_t>& sizes)>& fits) {
  const runtime::Tensor* tensor = find(tensors, name);
  if (tensor != nullptr && tensor->dtype == runtime::DType::float32 && tensor->shape.size() == 4 &&
      std::all_of(tensor->shape.begin(), tensor->shape.end(), [](auto size) { return size > 0; }) &&
      fits(tensor->shape)) {
    OUTCROP_CHECK(check_finite(*tensor));
    return tensor;
  }
  return fail(ErrorCode::invalid_data,
              "no tensor '" + std::string(name) + "', float32 " + shape + ", in it; it has " +
                  (tensor == nullptr ? "none of that name" : runtime::describe(*tensor)));
}

// What was found in a file.
struct FoundSamples {
  std::vector<Sample> samples;
  PanelScale scale;
};

PanelScale scale_for(const data::Geometry& sizes, const std::vector<Sample>& samples) {
  if (sizes.has_sizes_of(data::Geometry())) return scale_of(data::Geometry());
  float slowest = data::grid::slowest;
  float fastest = data::grid::fastest;
  for (const Sample& sample : samples) {
    const auto [least, most] = std::minmax_element(sample.map.begin(), sample.map.end());
    slowest = std::min(slowest, *least);
    fastest = std::max(fastest, *most);
  }
  return scale_of_sizes(sizes.width, sizes.times, slowest, fastest);
}

Result<FoundSamples> samples_in(const std::vector<runtime::Tensor>& tensors, std::size_t most) {
  OUTCROP_TRY(maps, find_floats(tensors, "velocity", "[N, 1, depth, width]",
                                [](const auto& sizes) { return sizes[1] == 1; }));
  const std::int64_t columns = maps->shape[3];
  data::Geometry sizes;
  // Of OpenFWI's maps its gathers are wanted.
  const bool usual = maps->shape[2] == static_cast<std::int64_t>(sizes.depth) &&
                     columns == static_cast<std::int64_t>(sizes.width);
  OUTCROP_TRY(gathers,
              find_floats(tensors, "seismic",
                          usual ? "[N, 5, 1000, 70]"
                                : "[N, shots, times, " + std::to_string(columns) + "]",
                          [&](const auto& found) { return found[3] == columns; }));
  const auto size = [](std::int64_t extent) { return static_cast<std::size_t>(extent); };
  sizes.depth = size(maps->shape[2]);
  sizes.width = size(columns);
  sizes.shots = size(gathers->shape[1]);
  sizes.times = size(gathers->shape[2]);
  const auto count = std::min({static_cast<std::size_t>(maps->shape[0]),
                               static_cast<std::size_t>(gathers->shape[0]), most});
  std::vector<Sample> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto map = maps->floats().subspan(i * sizes.map_size(), sizes.map_size());
    const auto gather = gathers->floats().subspan(
        (i * sizes.shots + sizes.shots / 2) * sizes.shot_size(), sizes.shot_size());
    samples[i].map.assign(map.begin(), map.end());
    samples[i].gather.assign(gather.begin(), gather.end());
  }
  const PanelScale scale = scale_for(sizes, samples);
  return FoundSamples{std::move(samples), scale};
}

Status draw_samples(const FoundSamples& found, const std::string& title,
                    const std::filesystem::path& png) {
  const auto& [samples, scale] = found;
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
           << (maps ? velocity_bar(left, half, size, scale)
                    : pressure_bar(left + half, half, size, scale));
    for (int column = 0; column < count; ++column) {
      const Sample& sample = samples[static_cast<std::size_t>(column)];
      const PanelPlace place{.x = left + column * (panel + panel_gap),
                             .y = top + (maps ? 0 : panel + between),
                             .picture = size,
                             .first_column = column == 0,
                             .last_row = true};
      script << (maps ? map_panel(sample.map, place, {}, scale)
                      : gather_panel(sample.gather, place, {}, scale));
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
            OUTCROP_TRY(found, samples_in(tensors, std::min(most, most_samples)));
            OUTCROP_CHECK(draw_samples(found, title, png));
            return found.samples.size();
          }};
}

}  // namespace outcrop::generator
