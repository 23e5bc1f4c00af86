#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/diffusion_shape.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/gather_maker.hpp"
#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::generator {

inline constexpr std::int64_t most_sharpening = 16;

// A small UB-Diff (arXiv 2501.00941): a velocity autoencoder, and a decoder that makes the shot
// gathers of the same latent. Convolutions only, so that every layer of the decoders has an int8
// kernel; sizes 5→10→18→35→70 for OpenFWI's maps, and for others those that halving them four times
// goes through: what a layer makes too much of is its padding, nothing is cropped behind it.
struct GeneratorShape {
  std::int64_t latent = 128;         // values; a multiple of 4
  std::int64_t encoder_width = 16;   // channels at full size; grows eightfold
  std::int64_t velocity_width = 16;  // channels at the maps' size; sixteenfold at a sixteenth of it
  std::int64_t levels = 0;           // velocities that each cell of a map chooses from; 0: maps of free values
  std::int64_t sharpen = 0;          // passes of the filter that makes steps of ramps (MapFinish), up to most_sharpening
  std::int64_t seismic_width = 8;    // channels at an eighth of the times x half the columns, 16-fold before
  GatherMaker gathers = GatherMaker::decoder;
  std::optional<DiffusionShape> diffusion{};  // what latents are drawn by; none: a Gaussian
  std::int64_t sponge = 24;  // nodes around the coarse grid of those that compute waves
  // Those of the data.
  std::int64_t rows = data::grid::depth;
  std::int64_t columns = data::grid::width;
  std::int64_t shots = data::grid::shots;
  std::int64_t times = data::grid::times;

  bool operator==(const GeneratorShape&) const = default;
};

// The three networks as TorchScript modules, trained and exported as the same objects.
//   encoder           normalized map [B,1,rows,columns] → latent [B,latent,1,1]; no activation at its end
//   velocity_decoder  latent [B,latent,1,1] → normalized map [B,1,rows,columns]; with levels, each cell's softmax over
//                     velocities that the latent says: layers are flat by nature, and what is learned is where they end
//   seismic_decoder   latent [B,latent,1,1] → normalized gathers [B,shots,times,columns]; works at
//                     an eighth of the times and ends in one transposed convolution of stride (8, 2)
// Outputs lie near [-1, 1] and are not clamped: denormalization does that.
struct Generator {
  GeneratorShape shape;
  torch::jit::Module encoder;
  torch::jit::Module velocity_decoder;
  torch::jit::Module seismic_decoder;  // without layers where gathers are made from the map

  void train(bool on);  // BatchNorm by batch statistics, or (false) by the running ones
};

// `shape` for data of this geometry. invalid_argument where the networks cannot have its sizes, with
// those that they can.
[[nodiscard]] Result<GeneratorShape> with_sizes_of(const data::Geometry& geometry,
                                                   GeneratorShape shape);

[[nodiscard]] std::vector<models::Layer> encoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<models::Layer> velocity_decoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<models::Layer> seismic_decoder_layers(const GeneratorShape& shape);

// The name of the layer that makes levels.
inline constexpr const char* levels_layer = "levels";

// The same weights from the same seed, on every machine of the same LibTorch. In training mode.
[[nodiscard]] Generator make_generator(const GeneratorShape& shape, std::uint64_t seed);

}  // namespace outcrop::generator
