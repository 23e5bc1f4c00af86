#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"

namespace outcrop::generator {

// From noise to latents in some steps, as boards have it. A noised value turns with the angle of its noise,
// x = cos φ · clean + sin φ · noise, and dx/dφ = v is what the denoiser answers: an equation that is followed from a
// quarter turn down to 0 (as DDIM, Song et al. 2021, does, and without noise of its own).
struct Sampler {
  torch::jit::Module denoiser;     // denoiser_of_steps()
  std::vector<NoiseLevel> levels;  // of these steps
  double reach = 0.0;              // what is taken for a clean value is held within ± this
};

// Of a diffusion that was trained.
[[nodiscard]] Sampler sampler_of(const LatentDiffusion& diffusion);

// How far x moves in the step down from a level: `alone` · v where there was no step before it, else `along` · v +
// `back` · (v of the step before). Adams and Bashforth's two-step rule, fitted so that it is exact not only where x rests,
// v = 0, which is what a Gaussian's values do, but also where clean value and noise do, x turning with φ, which is what
// DDIM takes for all of the way: there DDIM draws values together by cos φ in each step, 7 % in 16. Error of second order.
struct SamplerStep {
  double alone = 0.0;
  double along = 0.0;
  double back = 0.0;
};
// From each of these levels, the cleanest first, to the one before it; from the first one to no noise.
[[nodiscard]] std::vector<SamplerStep> steps_along(const std::vector<NoiseLevel>& levels);

// The last `steps` steps of the way, from values noised as the first of them expects: [N, latent], in the diffusion's space
// both. As exported files go it, and to be differentiated by `noised`. Throws c10::Error unless 1 <= steps <= levels.
[[nodiscard]] torch::Tensor denoised(const Sampler& sampler, const torch::Tensor& noised, std::int64_t steps);

// What the denoiser sees on the way from `noise` [N, latent], step by step: [steps · N, latent + 1].
[[nodiscard]] torch::Tensor denoiser_inputs(const Sampler& sampler, const torch::Tensor& noise);

// TorchScript methods of a generator that has the prior as `mean` and `factor` (compose.cpp), the noise, decode(), a
// denoiser as `denoiser`, and what register_sampler() adds:
//   latent(batch_size, seed) -> [B, latent]               what forward() decodes
//   sample(noise [B, latent]) -> the pair                 of standard normal noise
//   refine(noised [B, latent], steps) -> the pair         only the last steps of the way: of a latent's noise with noise added
//   path(noise [B, latent]) -> [B, steps, latent]         what each step takes for the latent; the last one is sampled
// Noise of another size, with a value that is not finite, or a number of steps that there is not, raises.
[[nodiscard]] std::string sampler_source();
void register_sampler(torch::jit::Module& module, const std::vector<NoiseLevel>& levels, double reach);

}  // namespace outcrop::generator
