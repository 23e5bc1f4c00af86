#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"

#include "trainer_host/trainer/kinds/generator/diffusion/denoiser.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

// A loop whose count is known is unrolled by those who freeze, a copy of the denoiser's graph for each step: all_steps()
// is known with the rows alone. Without rows int8 kernels refuse, hence the row that is dropped. `at` counts down to the
// clean end of the schedule.
constexpr const char* sampler_methods = R"(
def check_noise(self, noise: Tensor, steps: int):
    assert noise.dim() == 2, "noise has two axes: rows, and the values of a latent"
    assert noise.size(1) == self.mean.size(0), "noise has as many values in a row as a latent has"
    assert float(torch.sum(noise * 0.0)) == 0.0, "noise holds a value that is not finite"
    assert steps >= 1, "a sampler takes 1 step at least"
    assert steps <= len(self.signals), "a sampler takes no more steps than it was exported with"
def clean(self, noised: Tensor, at: int) -> Tensor:
    v = self.denoiser.forward(torch.constant_pad_nd(noised, [0, 1], float(at)))
    return torch.clamp(noised * self.signals[at] - v * self.noises[at], -self.reach, self.reach)
def noised_less(self, noised: Tensor, clean: Tensor, at: int) -> Tensor:
    noise = (noised - clean * self.signals[at]) * (1.0 / self.noises[at])
    return clean * self.signals[at - 1] + noise * self.noises[at - 1]
def all_steps(self, rows: int) -> int:
    return len(self.signals) + rows * 0
def with_a_row(self, noise: Tensor) -> Tensor:
    if noise.size(0) == 0:
        return torch.zeros([1, noise.size(1)], dtype=6, layout=None, device=None, pin_memory=False)
    return noise
def denoised(self, noise: Tensor, steps: int) -> Tensor:
    self.check_noise(noise, steps)
    x = self.with_a_row(noise)
    for taken in range(steps):
        at = steps - 1 - taken
        clean = self.clean(x, at)
        if at > 0:
            x = self.noised_less(x, clean, at)
        else:
            x = clean
    return x[:noise.size(0)]
def latent_of(self, values: Tensor) -> Tensor:
    factor = self.factor.to(6) * 9.5367431640625e-07
    mean = (self.mean.to(7) * 9.094947017729282e-13).to(6)
    return torch.sum(torch.unsqueeze(values, 1) * factor, [2]) + mean
def latent(self, batch_size: int, seed: int) -> Tensor:
    noise = self.noise.forward(batch_size, seed).to(6) * 9.5367431640625e-07
    return self.latent_of(self.denoised(noise, self.all_steps(noise.size(0))))
def refine(self, noised: Tensor, steps: int) -> Tuple[Tensor, Tensor]:
    return self.decode(self.latent_of(self.denoised(noised, steps)))
def sample(self, noise: Tensor) -> Tuple[Tensor, Tensor]:
    return self.refine(noise, self.all_steps(noise.size(0)))
def path(self, noise: Tensor) -> Tensor:
    steps = self.all_steps(noise.size(0))
    self.check_noise(noise, steps)
    x = self.with_a_row(noise)
    seen: List[Tensor] = []
    for taken in range(steps):
        at = steps - 1 - taken
        clean = self.clean(x, at)
        seen.append(self.latent_of(clean))
        if at > 0:
            x = self.noised_less(x, clean, at)
    return torch.stack(seen, 1)[:noise.size(0)]
)";

}  // namespace

Sampler sampler_of(const LatentDiffusion& diffusion) {
  const auto steps = chosen_steps(diffusion.shape().steps);
  std::vector<NoiseLevel> levels;
  for (const std::int64_t step : steps) levels.push_back(noise_levels()[static_cast<std::size_t>(step)]);
  const auto latent = diffusion.space().mean.size(0);
  return {denoiser_of_steps(diffusion.denoiser(), diffusion.shape(), latent, steps), std::move(levels),
          diffusion.reach()};
}

Tensor denoiser_inputs(Sampler& sampler, const Tensor& noise) {
  const torch::NoGradGuard no_gradient;
  std::vector<Tensor> seen;
  Tensor x = noise;
  for (auto at = static_cast<std::int64_t>(sampler.levels.size()) - 1; at >= 0; --at) {
    const auto level = sampler.levels[static_cast<std::size_t>(at)];
    seen.push_back(torch::cat({x, torch::full({x.size(0), 1}, static_cast<float>(at))}, 1));
    const auto v = sampler.denoiser.forward({seen.back()}).toTensor();
    const auto clean = (x * level.signal - v * level.noise).clamp(-sampler.reach, sampler.reach);
    if (at == 0) break;
    const auto next = sampler.levels[static_cast<std::size_t>(at) - 1];
    x = clean * next.signal + (x - clean * level.signal) / level.noise * next.noise;
  }
  return torch::cat(seen);
}

std::string sampler_source() { return sampler_methods; }

void register_sampler(torch::jit::Module& generator, const std::vector<NoiseLevel>& levels, double reach) {
  c10::List<double> signals;
  c10::List<double> noises;
  for (const NoiseLevel& level : levels) {
    signals.push_back(level.signal);
    noises.push_back(level.noise);
  }
  const auto floats = c10::ListType::create(c10::FloatType::get());
  generator.register_attribute("signals", floats, signals);
  generator.register_attribute("noises", floats, noises);
  generator.register_attribute("reach", c10::FloatType::get(), reach);
}

}  // namespace outcrop::generator
