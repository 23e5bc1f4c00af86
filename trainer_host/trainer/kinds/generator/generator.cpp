#include "trainer_host/trainer/kinds/generator/generator.hpp"

#include <ATen/CPUGeneratorImpl.h>

namespace outcrop::generator {
namespace {

using models::Layer;
using Pair = std::array<std::int64_t, 2>;

Layer convolution(std::string name, std::int64_t in, std::int64_t out, Pair stride = {1, 1}) {
  return {.name = std::move(name), .in_channels = in, .out_channels = out, .stride = stride};
}

Layer transposed(std::string name, std::int64_t in, std::int64_t out, Pair kernel, Pair stride,
                 Pair padding) {
  return {.name = std::move(name),
          .kind = Layer::Kind::transposed_convolution,
          .in_channels = in,
          .out_channels = out,
          .kernel = kernel,
          .stride = stride,
          .padding = padding};
}

// A full connection where there is one position, as a convolution: that has the int8 kernels.
Layer pointwise(std::string name, std::int64_t in, std::int64_t out) {
  Layer layer = convolution(std::move(name), in, out);
  layer.kernel = {1, 1};
  layer.padding = {0, 0};
  return layer;
}

Layer without_relu(Layer layer) {
  layer.relu = false;
  return layer;
}

Layer normalized(Layer layer) {
  layer.batch_norm = true;
  return layer;
}

// The sizes that an extent goes through when it is halved four times, rounded up: 70, 35, 18, 9, 5.
std::array<std::int64_t, 5> halved(std::int64_t extent) {
  std::array<std::int64_t, 5> sizes{extent};
  for (std::size_t i = 1; i < sizes.size(); ++i) sizes[i] = (sizes[i - 1] + 1) / 2;
  return sizes;
}

// A step up along one side.
struct Up {
  std::int64_t kernel;
  std::int64_t padding;
};

// The four steps from a sixteenth of an extent to all of it: each makes twice as much, or one less.
std::array<Up, 4> steps_up(std::int64_t extent) {
  constexpr Up twice{4, 1}, one_less{3, 1}, two_less{4, 2};
  // 5→10→18→35→70, as the first generators had it: their weights load for ever.
  if (extent == 70) return {twice, two_less, one_less, twice};
  const auto sizes = halved(extent);
  std::array<Up, 4> steps{};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[steps.size() - 1 - i] = sizes[i] % 2 == 0 ? twice : one_less;
  }
  return steps;
}

// The last layer of the gathers makes 8 times and 2 columns of each position, and cuts off on both
// sides alike what is too much.
constexpr Pair gather_stride{8, 2};
Pair gather_grid(const GeneratorShape& shape) {
  return {(shape.times + gather_stride[0] - 1) / gather_stride[0],
          (shape.columns + gather_stride[1] - 1) / gather_stride[1]};
}

constexpr double widest_level = 0.9;

Status check_extent(const char* what, std::int64_t extent, std::int64_t least, std::int64_t most,
                    bool even) {
  if (extent >= least && extent <= most && !(even && extent % 2 != 0)) return {};
  return fail(ErrorCode::invalid_argument,
              "data of " + std::to_string(extent) + " " + what + "; a generator makes " +
                  std::to_string(least) + " to " + std::to_string(most) +
                  (even ? ", an even number" : ""));
}

}  // namespace

Result<GeneratorShape> with_sizes_of(const data::Geometry& geometry, GeneratorShape shape) {
  shape.rows = static_cast<std::int64_t>(geometry.depth);
  shape.columns = static_cast<std::int64_t>(geometry.width);
  shape.shots = static_cast<std::int64_t>(geometry.shots);
  shape.times = static_cast<std::int64_t>(geometry.times);
  OUTCROP_CHECK(check_extent("rows", shape.rows, 16, 512, false));
  OUTCROP_CHECK(check_extent("columns", shape.columns, 16, 512, true));
  OUTCROP_CHECK(check_extent("recorded steps", shape.times, 32, 8192, true));
  return shape;
}

std::vector<Layer> encoder_layers(const GeneratorShape& shape) {
  const auto w = shape.encoder_width;
  Layer last = without_relu(convolution("latent", 8 * w, shape.latent));
  last.kernel = {halved(shape.rows).back(), halved(shape.columns).back()};
  last.padding = {0, 0};
  return {normalized(convolution("down1", 1, w, {2, 2})),  // 70 → 35
          normalized(convolution("mix1", w, 2 * w)),
          normalized(convolution("down2", 2 * w, 4 * w, {2, 2})),  // 35 → 18
          normalized(convolution("mix2", 4 * w, 4 * w)),
          normalized(convolution("down3", 4 * w, 8 * w, {2, 2})),  // 18 → 9
          normalized(convolution("mix3", 8 * w, 8 * w)),
          normalized(convolution("down4", 8 * w, 8 * w, {2, 2})),  // 9 → 5
          last};
}

std::vector<Layer> velocity_decoder_layers(const GeneratorShape& shape) {
  const auto w = shape.velocity_width;
  const auto down = steps_up(shape.rows);
  const auto across = steps_up(shape.columns);
  const auto up = [&](const char* name, std::int64_t in, std::int64_t out, std::size_t step) {
    return transposed(name, in, out, {down[step].kernel, across[step].kernel}, {2, 2},
                      {down[step].padding, across[step].padding});
  };
  const Pair smallest{halved(shape.rows).back(), halved(shape.columns).back()};
  Layer first = transposed("up1", shape.latent, 16 * w, smallest, {1, 1}, {0, 0});  // 1 → 5
  Layer last = without_relu(convolution("map", w, std::max<std::int64_t>(1, shape.levels)));
  std::vector<Layer> layers;
  if (shape.levels > 0) {
    layers.push_back(without_relu(pointwise(levels_layer, shape.latent, shape.levels)));
    first.input = Layer::network_input;
    last.values = levels_layer;
  }
  const std::vector<Layer> maps{
          first,
          normalized(convolution("mix1", 16 * w, 16 * w)),
          up("up2", 16 * w, 8 * w, 0),  // 5 → 10
          normalized(convolution("mix2", 8 * w, 8 * w)),
          up("up3", 8 * w, 4 * w, 1),  // 10 → 18
          normalized(convolution("mix3", 4 * w, 4 * w)),
          up("up4", 4 * w, 2 * w, 2),  // 18 → 35
          normalized(convolution("mix4", 2 * w, 2 * w)),
          up("up5", 2 * w, w, 3),  // 35 → 70
          normalized(convolution("mix5", w, w)),
          last};
  layers.insert(layers.end(), maps.begin(), maps.end());
  return layers;
}

std::vector<Layer> seismic_decoder_layers(const GeneratorShape& shape) {
  // Convolutions all the way up (8x5 → 125x35) were tried first: after 20 epochs they still drew
  // worse gathers than the mean of all. Arrivals are where they are: a value of its own for every
  // time and receiver learns them in a few epochs, at a twentieth of the multiply-adds.
  const Pair size = gather_grid(shape);
  const auto w = shape.seismic_width;
  // 2 g - 2 p + 2 or, of the times, 8 g - 2 p + 8 are to be left.
  const Pair padding{(gather_stride[0] * (size[0] + 1) - shape.times) / 2,
                     (gather_stride[1] * (size[1] + 1) - shape.columns) / 2};
  const auto hidden = 16 * w;
  Layer grid = without_relu(pointwise("grid", hidden, 0));
  grid.grid = {w, size[0], size[1]};
  grid.out_channels = w * grid.grid.rows * grid.grid.columns;
  return {pointwise("head", shape.latent, hidden), grid,
          // 125x35 → 1000x70
          without_relu(transposed("gathers", w, shape.shots, {16, 4}, gather_stride, padding))};
}

void Generator::train(bool on) {
  encoder.train(on);
  velocity_decoder.train(on);
  seismic_decoder.train(on);
}

Generator make_generator(const GeneratorShape& shape, std::uint64_t seed) {
  // A generator of its own: the global one belongs to the program.
  const at::Generator random = at::detail::createCPUGenerator(seed);
  Generator generator{.shape = shape,
          .encoder = models::build_network("__torch__.outcrop.Encoder", encoder_layers(shape), random),
          .velocity_decoder = models::build_network("__torch__.outcrop.VelocityDecoder",
                                            velocity_decoder_layers(shape), random),
          .seismic_decoder = models::build_network(
              "__torch__.outcrop.SeismicDecoder",
              from_map(shape.gathers) ? std::vector<Layer>() : seismic_decoder_layers(shape), random)};
  if (shape.levels > 0) {
    // Before anything is learned the levels lie all over the bounds.
    const torch::NoGradGuard no_gradient;
    generator.velocity_decoder.attr(levels_layer).toModule().attr("bias").toTensor().copy_(
        torch::linspace(-widest_level, widest_level, shape.levels));
  }
  return generator;
}

}  // namespace outcrop::generator
