#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "trainer_host/trainer/kinds/generator/diffusion/diffusion_shape.hpp"

namespace outcrop::generator {

// The U-Net of UB-Diff (arXiv 2501.00941) along a latent, after the public denoising-diffusion-pytorch: at each level two
// residual blocks (convolution of 3, group norm, scale and shift by the time, SiLU, twice), linear attention
// (Katharopoulos et al. 2020) and half the length; between the ways down and up attention over all positions. With
// four levels it has 75 one-dimensional convolutions. Other than there, each position has a learned vector of its own
// behind the first convolution (a latent's values mean what their places say), and norms before and behind attention
// are group norms of one group.
//
//   forward(noised [B, latent + 1]) -> [B, latent]: of latents and, as their last value, the step in
//   0..noise_steps - 1, the velocity v = signal · noise - noise level · latent (Salimans and Ho 2022)
//
// One tensor in and one out, as methods of quantization want networks. It answers 0 where nothing was learned. The
// same weights from the same seed. Throws c10::Error where `latent` is no multiple of shape.divisor().
[[nodiscard]] torch::jit::Module make_denoiser(const DiffusionShape& shape, std::int64_t latent, std::uint64_t seed);

// The same for boards: what the time does to each block is looked up in a table of these steps, and a noised latent's last
// value is a place in it. Convolutions are along two axes of which one is 1, which int8 has more kernels for: the same
// products, exactly. In evaluation mode.
[[nodiscard]] torch::jit::Module denoiser_of_steps(const torch::jit::Module& denoiser, const DiffusionShape& shape,
                                                   std::int64_t latent, const std::vector<std::int64_t>& steps);

// How many calls of `operation` ("aten::conv1d") its forward makes, with all that it calls.
[[nodiscard]] std::int64_t operations_in(const torch::jit::Module& network, const char* operation);

}  // namespace outcrop::generator
