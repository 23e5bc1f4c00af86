#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "trainer_host/trainer/models/latent_prior.hpp"
#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::models {

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

[[nodiscard]] std::vector<Layer> encoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<Layer> velocity_decoder_layers(const GeneratorShape& shape);
[[nodiscard]] std::vector<Layer> seismic_decoder_layers(const GeneratorShape& shape);

// The same weights from the same seed, on every machine of the same LibTorch. In training mode.
[[nodiscard]] Generator make_generator(const GeneratorShape& shape, std::uint64_t seed);

// What a board gets: decoders (float, or already quantized and reloaded; each takes
// [B,latent,1,1]) with the prior, the noise and the way back to physical units:
//   forward(batch_size: int, seed: int = 0) -> (velocity [B,1,70,70] in m/s within 1500–4500,
//                                               pressure [B,5,1000,70])
//   decode(latent: Tensor [B,latent])       -> the same pair
//   latent(batch_size: int, seed: int)      -> Tensor [B,latent], what forward() decodes: computed
//                                              in integers, so the same bits on every machine
// Every variant answers alike: float32, contiguous ([B, channel, row, column]), B = 0 gives tensors
// without rows, a negative B raises, and a latent with a value that is not finite gives a row of
// nothing but NaN, without an effect on the other rows.
// Row b depends on (seed, b) alone: bit for bit in its latent, and in its outputs as far as the
// decoders' kernels sum in the same order for every batch size (the integer ones do).
// The modules are taken over, not copied. In evaluation mode. Throws c10::Error.
[[nodiscard]] torch::jit::Module compose_generator(torch::jit::Module velocity_decoder,
                                                   torch::jit::Module seismic_decoder,
                                                   const LatentPrior& prior);

}  // namespace outcrop::models
