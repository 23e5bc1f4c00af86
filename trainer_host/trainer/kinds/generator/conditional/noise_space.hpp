#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"

namespace outcrop::generator {

// Where a trained generator's latents come from, as a function of standard normal noise that can be differentiated:
// the Gaussian's affine map, or all steps of the diffusion. Either way what is likely is likely in noise, and noise is
// likely by its length alone.
class NoiseSpace {
 public:
  NoiseSpace(LatentPrior prior, std::optional<Sampler> sampler) : prior_(std::move(prior)), sampler_(std::move(sampler)) {}

  // Rows of noise [count, latent] as exported files draw them of `seed`.
  [[nodiscard]] torch::Tensor draw(std::size_t count, std::uint64_t seed) const;
  // [N, latent] of noise [N, latent], as the exported file's sample() has them.
  [[nodiscard]] torch::Tensor latents(const torch::Tensor& noise) const;
  // Latents [N, latent] turned towards `noise` until `strength` of 0 to 1 is noise's; what that is no likely latent of any more
  // the diffusion takes back to one (as SDEdit does: Meng et al. 2022), from the step whose noise is nearest to `strength`.
  [[nodiscard]] torch::Tensor around(const torch::Tensor& latents, const torch::Tensor& noise, double strength) const;

 private:
  LatentPrior prior_;
  std::optional<Sampler> sampler_;
};

}  // namespace outcrop::generator
