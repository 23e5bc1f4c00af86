#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::generator {

// A small UB-Diff (arXiv 2501.00941): a velocity autoencoder, and a decoder that makes the shot
// gathers of the same latent. Convolutions only, sizes 5→10→18→35→70, so that nothing is cropped
// and every layer of the decoders has an int8 kernel.
struct GeneratorShape {
  std::int64_t latent = 128;         // values; a multiple of 4
  std::int64_t encoder_width = 16;   // channels at full size; grows eightfold
  std::int64_t velocity_width = 16;  // channels at 70x70; sixteenfold at 5x5
  std::int64_t seismic_width = 8;    // channels at 125 time rows x 35 columns, 16-fold before

  bool operator==(const GeneratorShape&) const = default;
};

// The three networks as TorchScript modules, trained and exported as the same objects.
//   encoder           normalized map [B,1,70,70] → latent [B,latent,1,1]; no activation at its end
//   velocity_decoder  latent [B,latent,1,1] → normalized map [B,1,70,70]
//   seismic_decoder   latent [B,latent,1,1] → normalized gathers [B,5,1000,70]; works at up to 125
//                     time rows and ends in one transposed convolution of stride (8, 2)
// Outputs lie near [-1, 1] and are not clamped: denormalization does that.
struct Generator {
  GeneratorShape shape;
  torch::jit::Module encoder;
  torch::jit::Module velocity_decoder;
  torch::jit::Module seismic_decoder;

  void train(bool on);  // BatchNorm by batch statistics, or (false) by the running ones
};

[[nodiscard]] std::vector<models::Layer> encoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<models::Layer> velocity_decoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<models::Layer> seismic_decoder_layers(const GeneratorShape& shape);

// The same weights from the same seed, on every machine of the same LibTorch. In training mode.
[[nodiscard]] Generator make_generator(const GeneratorShape& shape, std::uint64_t seed);

}  // namespace outcrop::generator
