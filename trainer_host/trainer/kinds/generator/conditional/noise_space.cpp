#include "trainer_host/trainer/kinds/generator/conditional/noise_space.hpp"

#include <cmath>

#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"
#include "trainer_host/trainer/models/noise.hpp"

namespace outcrop::generator {

using torch::Tensor;

Tensor NoiseSpace::draw(std::size_t count, std::uint64_t seed) const {
  auto noise = models::make_noise(prior_.mean.size(0));
  return noise.forward({static_cast<std::int64_t>(count), static_cast<std::int64_t>(seed)}).toTensor().to(torch::kFloat) *
         std::ldexp(1.0, -models::noise_fraction_bits);
}

Tensor NoiseSpace::latents(const Tensor& noise) const {
  if (!sampler_) return out_of_space(prior_, noise);
  return out_of_space(prior_, denoised(*sampler_, noise, static_cast<std::int64_t>(sampler_->levels.size())));
}

Tensor NoiseSpace::around(const Tensor& latents, const Tensor& noise, double strength) const {
  const Tensor values = in_space_of(prior_, latents);
  if (!sampler_) return out_of_space(prior_, values * std::sqrt(1.0 - strength * strength) + noise * strength);
  std::int64_t steps = 0;
  double nearest = strength;  // of no step at all
  for (std::size_t at = 0; at < sampler_->levels.size(); ++at) {
    const double distance = std::abs(sampler_->levels[at].noise - strength);
    if (distance >= nearest) continue;
    nearest = distance;
    steps = static_cast<std::int64_t>(at) + 1;
  }
  if (steps == 0) return latents;
  const NoiseLevel& level = sampler_->levels[static_cast<std::size_t>(steps - 1)];
  return out_of_space(prior_, denoised(*sampler_, values * level.signal + noise * level.noise, steps));
}

}  // namespace outcrop::generator
