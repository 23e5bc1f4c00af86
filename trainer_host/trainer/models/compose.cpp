#include <cmath>

#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/models/noise.hpp"
#include "trainer_host/trainer/models/normalization.hpp"

namespace outcrop::models {
namespace {

// mean + factor · noise in fixed point. All terms are integers: noise below 2^23 and factor below
// 2^30 in units of 2^-20, so a sum of 128 products stays below 2^60 in units of 2^-40 whatever
// the order; the way to double and float rounds correctly on every machine.
constexpr const char* generator_source = R"(
def latent(self, batch_size: int, seed: int) -> Tensor:
    noise = self.noise.forward(batch_size, seed)
    spread = torch.sum(torch.unsqueeze(noise, 1) * self.factor.to(4), [2])
    return ((spread + self.mean).to(7) * 9.094947017729282e-13).to(6)
def decode(self, latent: Tensor) -> Tuple[Tensor, Tensor]:
    z = torch.reshape(latent, [latent.size(0), latent.size(1), 1, 1])
    velocity = self.velocity_of(self.velocity_decoder.forward(z))
    pressure = self.pressure_of(self.seismic_decoder.forward(z))
    return velocity, pressure
def forward(self, batch_size: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    return self.decode(self.latent(batch_size, seed))
)";

constexpr int factor_fraction_bits = 20;
constexpr double largest_factor = 1024.0;  // 2^30 in fixed point

}  // namespace

torch::jit::Module compose_generator(torch::jit::Module velocity_decoder,
                                     torch::jit::Module seismic_decoder, const LatentPrior& prior) {
  const auto latent = prior.mean.size(0);
  TORCH_CHECK(prior.factor.dim() == 2 && prior.factor.size(0) == latent &&
                  prior.factor.size(1) == latent && latent <= 128,
              "a prior is a mean [n] and a factor [n, n] with n <= 128");
  TORCH_CHECK(prior.factor.abs().max().item<double>() < largest_factor,
              "the latents spread further than ", largest_factor, ": scale them");
  const double factor_unit = std::ldexp(1.0, factor_fraction_bits);
  const double mean_unit = std::ldexp(1.0, factor_fraction_bits + noise_fraction_bits);

  torch::jit::Module generator("__torch__.outcrop.Generator",
                               std::make_shared<torch::jit::CompilationUnit>(),
                               /*shouldMangle=*/true);
  generator.register_module("noise", make_noise(latent));
  generator.register_module("velocity_decoder", std::move(velocity_decoder));
  generator.register_module("seismic_decoder", std::move(seismic_decoder));
  generator.register_buffer(
      "mean", torch::round(prior.mean.to(torch::kDouble) * mean_unit).to(torch::kLong));
  generator.register_buffer(
      "factor", torch::round(prior.factor.to(torch::kDouble) * factor_unit).to(torch::kInt));
  generator.register_attribute("training", c10::BoolType::get(), false);
  generator.define(denormalization_source());
  generator.define(generator_source);
  generator.eval();
  return generator;
}

}  // namespace outcrop::models
