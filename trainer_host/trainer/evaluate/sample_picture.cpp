#include "trainer_host/trainer/evaluate/sample_picture.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/evaluate/panels.hpp"

namespace outcrop::evaluate {
namespace {

using namespace data::grid;

// Pixels.
constexpr int left = 78;
constexpr int right = 28;
constexpr int top = 86;
constexpr int between = 46;  // maps and gathers: the maps' horizontal axis
constexpr int bottom = 142;
constexpr int narrowest = 560;  // room for two colour bars

// DejaVu Sans at the sizes of title and caption: rather too wide than cut at the picture's edge.
int text_width(const std::string& title, const std::string& caption) {
  return std::min(
      2000, std::max(static_cast<int>(title.size()) * 10, static_cast<int>(caption.size()) * 7));
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

}  // namespace

Result<std::vector<Sample>> read_samples(const std::filesystem::path& file, std::size_t most) {
  const auto tensors = runtime::read_tensor_file(file);
  if (!tensors) return fail(tensors.error());
  const auto maps = find_floats(*tensors, "velocity", {1, depth, width});
  if (!maps) return fail(maps.error().context(file.string()));
  const auto gathers = find_floats(*tensors, "seismic", {shots, times, width});
  if (!gathers) return fail(gathers.error().context(file.string()));
  const auto count = std::min({static_cast<std::size_t>((*maps)->shape[0]),
                               static_cast<std::size_t>((*gathers)->shape[0]), most});
  constexpr std::size_t shot_size = times * width;
  std::vector<Sample> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto map = (*maps)->floats().subspan(i * map_size, map_size);
    const auto gather =
        (*gathers)->floats().subspan((i * shots + shots / 2) * shot_size, shot_size);
    samples[i].map.assign(map.begin(), map.end());
    samples[i].gather.assign(gather.begin(), gather.end());
  }
  return samples;
}

Status draw_samples(const std::vector<Sample>& samples, const std::string& title,
                    const std::string& caption, const std::filesystem::path& png) {
  if (samples.empty() || samples.size() > 6) {
    return fail(ErrorCode::invalid_argument, "a picture shows one to six samples");
  }
  const int count = static_cast<int>(samples.size());
  const int block = count * panel + (count - 1) * panel_gap;
  const int across = std::max(block, text_width(title, caption));
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
  return draw(script.str(), size, png);
}

}  // namespace outcrop::evaluate
