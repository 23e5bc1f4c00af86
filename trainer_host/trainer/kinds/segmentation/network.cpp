#include "trainer_host/trainer/kinds/segmentation/network.hpp"

#include <string>
#include <utility>

namespace outcrop::segmentation {
namespace {

using models::Layer;
using Size = std::array<std::int64_t, 2>;

Size halved(Size size) {
  return {(size[0] + 1) / 2, (size[1] + 1) / 2};
}

// Kernels with which a transposed convolution of stride 2 and padding 1 comes back to `size` from its
// half, which was rounded up: 4 to an even extent, 3 to an odd one.
Size kernel_up_to(Size size) {
  return {size[0] % 2 == 0 ? 4 : 3, size[1] % 2 == 0 ? 4 : 3};
}

Layer convolution(const std::string& name, std::int64_t in, std::int64_t out) {
  return {.name = name, .in_channels = in, .out_channels = out, .batch_norm = true};
}

Layer halving(const std::string& name, std::int64_t in, std::int64_t out) {
  Layer layer = convolution(name, in, out);
  layer.stride = {2, 2};
  return layer;
}

Layer doubling(const std::string& name, std::int64_t in, std::int64_t out, Size to) {
  return {.name = name,
          .kind = Layer::Kind::transposed_convolution,
          .in_channels = in,
          .out_channels = out,
          .kernel = kernel_up_to(to),
          .stride = {2, 2}};
}

// Back to a level above: a convolution over what came up and one over what the level's skip brings,
// added.
void come_up(std::vector<Layer>& layers, const std::string& level, std::int64_t from,
             std::int64_t width, Size size) {
  layers.push_back(doubling("up" + level, from, width, size));
  Layer up = convolution("merge" + level + "_up", width, width);
  up.relu = false;
  Layer across = convolution("merge" + level + "_skip", width, width);
  across.input = "level" + level;
  across.plus = up.name;
  layers.push_back(std::move(up));
  layers.push_back(std::move(across));
}

}  // namespace

std::vector<Layer> segmentation_layers(const SegmentationShape& shape) {
  constexpr std::size_t levels = 4;
  const std::array<std::int64_t, levels> widths{shape.width, 2 * shape.width, 4 * shape.width,
                                                4 * shape.width};
  std::array<Size, levels> sizes{shape.size};
  std::vector<Layer> layers{convolution("first", 2, widths[0]),
                            convolution("level0", widths[0], widths[0])};
  for (std::size_t i = 1; i < levels; ++i) {
    const std::string level = std::to_string(i);
    sizes[i] = halved(sizes[i - 1]);
    layers.push_back(halving("down" + level, widths[i - 1], widths[i]));
    layers.push_back(convolution("level" + level, widths[i], widths[i]));
  }
  for (std::size_t i = levels - 1; i-- > 0;) {
    come_up(layers, std::to_string(i), widths[i + 1], widths[i], sizes[i]);
  }
  layers.push_back({.name = "classes",
                    .in_channels = widths[0],
                    .out_channels = shape.classes,
                    .kernel = {1, 1},
                    .padding = {0, 0},
                    .relu = false});
  return layers;
}

}  // namespace outcrop::segmentation
