#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"

namespace outcrop::generator {

// From noise to latents in some steps (DDIM, Song et al. 2021, without noise of its own), as boards have it.
struct Sampler {
  torch::jit::Module denoiser;     // denoiser_of_steps()
  std::vector<NoiseLevel> levels;  // of these steps
  double reach = 0.0;              // what is taken for a clean value is held within ± this
};

// Of a diffusion that was trained.
[[nodiscard]] Sampler sampler_of(const LatentDiffusion& diffusion);

// What the denoiser sees on the way from `noise` [N, latent], step by step: [steps · N, latent + 1].
[[nodiscard]] torch::Tensor denoiser_inputs(Sampler& sampler, const torch::Tensor& noise);

// TorchScript methods of a generator that has the prior as `mean` and `factor` (compose.cpp), the noise, decode(), a
// denoiser as `denoiser`, and what register_sampler() adds:
//   latent(batch_size, seed) -> [B, latent]               what forward() decodes
//   sample(noise [B, latent]) -> the pair                 of standard normal noise
//   refine(noised [B, latent], steps) -> the pair         only the last steps of the way: of a latent's noise with noise added
//   path(noise [B, latent]) -> [B, steps, latent]         what each step takes for the latent; the last one is sampled
// Noise of another size, with a value that is not finite, or a number of steps that there is not, raises.
[[nodiscard]] std::string sampler_source();
void register_sampler(torch::jit::Module& generator, const std::vector<NoiseLevel>& levels, double reach);

}  // namespace outcrop::generator
