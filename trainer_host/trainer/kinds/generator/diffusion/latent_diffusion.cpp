#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <vector>

#include "trainer_host/trainer/kinds/generator/diffusion/denoiser.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

// Of the space that a denoiser keeps.
constexpr int fraction_bits = 20;
const double unit_of_space = std::ldexp(1.0, -fraction_bits);

constexpr std::int64_t held_out_draws = 4;
constexpr std::uint64_t held_out_seed = 0x68656c64;

// Splitmix64's last steps: near numbers become far ones.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

Tensor to_fixed(const Tensor& values) {
  return torch::round(values.to(torch::kDouble) / unit_of_space).to(torch::kLong);
}

Tensor of_fixed(const Tensor& fixed_values) {
  return (fixed_values.to(torch::kDouble) * unit_of_space).to(torch::kFloat);
}

torch::jit::Module with_memory(torch::jit::Module denoiser, std::int64_t latent) {
  denoiser.register_buffer("trained_steps", torch::zeros({}, torch::kLong));
  denoiser.register_buffer("space_mean", torch::zeros({latent}, torch::kLong));
  denoiser.register_buffer("space_factor", torch::zeros({latent, latent}, torch::kLong));
  denoiser.register_buffer("space_reach", torch::zeros({}, torch::kLong));
  return denoiser;
}

}  // namespace

struct LatentDiffusion::Noised {
  Tensor input;   // [N · draws, latent + 1]
  Tensor target;  // v
};

LatentDiffusion::LatentDiffusion(const DiffusionShape& shape, std::int64_t latent, std::uint64_t seed)
    : shape_(shape),
      signal_(torch::empty({noise_steps})),
      noise_(torch::empty({noise_steps})),
      form_(with_memory(make_denoiser(shape, latent, seed), latent)) {
  for (std::int64_t i = 0; i < noise_steps; ++i) {
    signal_[i] = noise_levels()[static_cast<std::size_t>(i)].signal;
    noise_[i] = noise_levels()[static_cast<std::size_t>(i)].noise;
  }
}

Tensor LatentDiffusion::buffer(const char* name) const { return form_.module().attr(name).toTensor(); }

std::int64_t LatentDiffusion::steps() const { return buffer("trained_steps").item<std::int64_t>(); }

bool LatentDiffusion::is_trained() const { return steps() > 0; }

void LatentDiffusion::forget() { buffer("trained_steps").zero_(); }

void LatentDiffusion::take_space_of(const Tensor& latents) {
  if (is_trained()) return;
  const torch::NoGradGuard no_gradient;
  const LatentPrior prior = fit_gaussian(latents);
  buffer("space_mean").copy_(to_fixed(prior.mean));
  buffer("space_factor").copy_(to_fixed(prior.factor));
  buffer("space_reach").copy_(to_fixed(in_space(latents).abs().max()));
}

LatentPrior LatentDiffusion::space() const { return {of_fixed(buffer("space_mean")), of_fixed(buffer("space_factor"))}; }

double LatentDiffusion::reach() const { return of_fixed(buffer("space_reach")).item<double>(); }

Tensor LatentDiffusion::in_space(const Tensor& latents) const { return in_space_of(space(), latents); }

LatentDiffusion::Noised LatentDiffusion::noised_at(const Tensor& clean, const Tensor& at, at::Generator& random) const {
  const auto noise = torch::empty_like(clean).normal_(0.0, 1.0, random);
  const auto signal_share = signal_.index_select(0, at).unsqueeze(1);
  const auto noise_share = noise_.index_select(0, at).unsqueeze(1);
  return {torch::cat({signal_share * clean + noise_share * noise, at.to(torch::kFloat).unsqueeze(1)}, 1),
          signal_share * noise - noise_share * clean};
}

LatentDiffusion::Noised LatentDiffusion::noised(const Tensor& values, std::int64_t draws, std::uint64_t seed) const {
  at::Generator random = at::detail::createCPUGenerator(mixed(seed ^ mixed(static_cast<std::uint64_t>(steps()))));
  const auto clean = values.repeat({draws, 1});
  const auto rows = clean.size(0);
  // One level out of each of as many equal parts: every loss sees all of the schedule.
  const auto within = torch::empty({rows}).uniform_(0.0, 1.0, random);
  const auto step = ((torch::arange(rows, torch::kFloat) + within) * (static_cast<double>(noise_steps) / static_cast<double>(rows)))
                        .to(torch::kLong)
                        .clamp(0, noise_steps - 1);
  // Which value is seen at which of them is drawn, too.
  const auto places = torch::randperm(rows, random);
  const auto at = step.index_select(0, places);
  return noised_at(clean, at, random);
}

Tensor LatentDiffusion::error_of(const Noised& noised) {
  return (form_.forward(noised.input) - noised.target.slice(1, 0, shape_.drawn(noised.target.size(1)))).square().mean();
}

Tensor LatentDiffusion::loss(const Tensor& values, std::int64_t draws, std::uint64_t seed) {
  const auto error = error_of(noised(values, draws, seed));
  buffer("trained_steps").add_(1);
  return error;
}

Tensor LatentDiffusion::held_out_loss(const Tensor& values) {
  const torch::NoGradGuard no_gradient;
  at::Generator random = at::detail::createCPUGenerator(held_out_seed);
  const auto clean = values.repeat({held_out_draws, 1});
  const auto at = (torch::arange(clean.size(0), torch::kLong) * noise_steps).div(clean.size(0), "floor");
  return error_of(noised_at(clean, at, random));
}

std::optional<std::string> LatentDiffusion::first_non_finite(const Tensor& values, std::int64_t draws,
                                                             std::uint64_t seed) {
  Tensor ignored;
  const auto layer = form_.first_non_finite(noised(values, draws, seed).input, ignored);
  return layer ? std::optional("the output of denoiser." + *layer) : std::nullopt;
}

}  // namespace outcrop::generator
