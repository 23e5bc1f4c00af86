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

}  // namespace

std::vector<Layer> encoder_layers(const GeneratorShape& shape) {
  const auto w = shape.encoder_width;
  Layer last = without_relu(convolution("latent", 8 * w, shape.latent));
  last.kernel = {5, 5};
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
  return {transposed("up1", shape.latent, 16 * w, {5, 5}, {1, 1}, {0, 0}),  // 1 → 5
          normalized(convolution("mix1", 16 * w, 16 * w)),
          transposed("up2", 16 * w, 8 * w, {4, 4}, {2, 2}, {1, 1}),  // 5 → 10
          normalized(convolution("mix2", 8 * w, 8 * w)),
          transposed("up3", 8 * w, 4 * w, {4, 4}, {2, 2}, {2, 2}),  // 10 → 18
          normalized(convolution("mix3", 4 * w, 4 * w)),
          transposed("up4", 4 * w, 2 * w, {3, 3}, {2, 2}, {1, 1}),  // 18 → 35
          normalized(convolution("mix4", 2 * w, 2 * w)),
          transposed("up5", 2 * w, w, {4, 4}, {2, 2}, {1, 1}),  // 35 → 70
          normalized(convolution("mix5", w, w)),
          without_relu(convolution("map", w, 1))};
}

std::vector<Layer> seismic_decoder_layers(const GeneratorShape& shape) {
  // Convolutions all the way up (8x5 → 125x35) were tried first: after 20 epochs they still drew
  // worse gathers than the mean of all. Arrivals are where they are: a value of its own for every
  // time and receiver learns them in a few epochs, at a twentieth of the multiply-adds.
  constexpr Layer::Grid eighth_of_the_times{0, 125, 35};
  const auto w = shape.seismic_width;
  const auto hidden = 16 * w;
  Layer grid = without_relu(pointwise("grid", hidden, 0));
  grid.grid = eighth_of_the_times;
  grid.grid.channels = w;
  grid.out_channels = w * grid.grid.rows * grid.grid.columns;
  return {pointwise("head", shape.latent, hidden), grid,
          // 125x35 → 1000x70
          without_relu(transposed("gathers", w, 5, {16, 4}, {8, 2}, {4, 1}))};
}

void Generator::train(bool on) {
  encoder.train(on);
  velocity_decoder.train(on);
  seismic_decoder.train(on);
}

Generator make_generator(const GeneratorShape& shape, std::uint64_t seed) {
  // A generator of its own: the global one belongs to the program.
  const at::Generator random = at::detail::createCPUGenerator(seed);
  return {.shape = shape,
          .encoder = models::build_network("__torch__.outcrop.Encoder", encoder_layers(shape), random),
          .velocity_decoder = models::build_network("__torch__.outcrop.VelocityDecoder",
                                            velocity_decoder_layers(shape), random),
          .seismic_decoder = models::build_network("__torch__.outcrop.SeismicDecoder",
                                           seismic_decoder_layers(shape), random)};
}

}  // namespace outcrop::generator
