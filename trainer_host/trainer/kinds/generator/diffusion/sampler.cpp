#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cmath>

#include "trainer_host/trainer/kinds/generator/diffusion/denoiser.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

// One step down the schedule, `at` being the place of where it stands. Behind the components that the denoiser draws v is 0,
// as of any Gaussian. A clean value beyond the reach is taken for one at it, and v is that of this one.
constexpr const char* step_methods = R"(
def told(self, noised: Tensor, at: int) -> Tensor:
    return torch.constant_pad_nd(noised, [0, 1], float(at))
def clean(self, noised: Tensor, v: Tensor, at: int) -> Tensor:
    return noised * self.signals[at] - v * self.noises[at]
def within(self, clean: Tensor) -> Tensor:
    return torch.clamp(clean, -self.reach, self.reach)
def v_at(self, noised: Tensor, at: int) -> Tensor:
    answered = self.denoiser.forward(self.told(noised, at))
    v = torch.constant_pad_nd(answered, [0, noised.size(1) - answered.size(1)])
    clean = self.clean(noised, v, at)
    return v + (clean - self.within(clean)) * (1.0 / self.noises[at])
def stepped(self, noised: Tensor, v: Tensor, before: Tensor, at: int, taken: int) -> Tensor:
    if taken == 0:
        return noised + v * self.alone[at]
    return noised + v * self.along[at] + before * self.back[at]
)";

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
def all_steps(self, rows: int) -> int:
    return len(self.signals) + rows * 0
def with_a_row(self, noise: Tensor) -> Tensor:
    if noise.size(0) == 0:
        return torch.zeros([1, noise.size(1)], dtype=6, layout=None, device=None, pin_memory=False)
    return noise
def denoised(self, noise: Tensor, steps: int) -> Tensor:
    self.check_noise(noise, steps)
    x = self.with_a_row(noise)
    v = x
    for taken in range(steps):
        at = steps - 1 - taken
        before = v
        v = self.v_at(x, at)
        x = self.stepped(x, v, before, at, taken)
    return self.within(x)[:noise.size(0)]
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
    v = x
    seen: List[Tensor] = []
    for taken in range(steps):
        at = steps - 1 - taken
        before = v
        v = self.v_at(x, at)
        if at > 0:
            seen.append(self.latent_of(self.clean(x, v, at)))
        x = self.stepped(x, v, before, at, taken)
    seen.append(self.latent_of(self.within(x)))
    return torch.stack(seen, 1)[:noise.size(0)]
)";

double angle_of(const NoiseLevel& level) { return std::atan2(level.noise, level.signal); }

}  // namespace

Sampler sampler_of(const LatentDiffusion& diffusion) {
  const auto steps = chosen_steps(diffusion.shape().steps);
  std::vector<NoiseLevel> levels;
  for (const std::int64_t step : steps) levels.push_back(noise_levels()[static_cast<std::size_t>(step)]);
  const auto latent = diffusion.space().mean.size(0);
  return {denoiser_of_steps(diffusion.denoiser(), diffusion.shape(), latent, steps), std::move(levels),
          diffusion.reach()};
}

namespace {

// sampler_methods' way in this process; `told` gets what the denoiser sees in each step.
Tensor follow(const Sampler& sampler, const Tensor& noised, std::int64_t steps, std::vector<Tensor>* told) {
  // A graph that is optimized for one way of calling it is not worth making: the calls are few.
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  torch::jit::Module denoiser = sampler.denoiser;
  const auto along = steps_along(sampler.levels);
  Tensor x = noised;
  Tensor before;
  for (std::int64_t at = steps - 1; at >= 0; --at) {
    const auto place = static_cast<std::size_t>(at);
    const Tensor input = torch::constant_pad_nd(x, {0, 1}, static_cast<double>(at));
    if (told != nullptr) told->push_back(input);
    const Tensor answered = denoiser.forward({input}).toTensor();
    Tensor v = torch::constant_pad_nd(answered, {0, x.size(1) - answered.size(1)});
    const Tensor clean = x * sampler.levels[place].signal - v * sampler.levels[place].noise;
    v = v + (clean - clean.clamp(-sampler.reach, sampler.reach)) / sampler.levels[place].noise;
    x = before.defined() ? x + v * along[place].along + before * along[place].back : x + v * along[place].alone;
    before = v;
  }
  return x.clamp(-sampler.reach, sampler.reach);
}

}  // namespace

Tensor denoised(const Sampler& sampler, const Tensor& noised, std::int64_t steps) {
  const auto most = static_cast<std::int64_t>(sampler.levels.size());
  TORCH_CHECK(steps >= 1 && steps <= most, steps, " steps of a sampler that has ", most);
  return follow(sampler, noised, steps, nullptr);
}

Tensor denoiser_inputs(const Sampler& sampler, const Tensor& noise) {
  const torch::NoGradGuard no_gradient;
  std::vector<Tensor> told;
  follow(sampler, noise, static_cast<std::int64_t>(sampler.levels.size()), &told);
  return torch::cat(told);
}

std::vector<SamplerStep> steps_along(const std::vector<NoiseLevel>& levels) {
  std::vector<SamplerStep> steps;
  for (std::size_t at = 0; at < levels.size(); ++at) {
    const double angle = angle_of(levels[at]);
    const double change = (at == 0 ? 0.0 : angle_of(levels[at - 1])) - angle;
    SamplerStep step{.alone = change};
    if (at + 1 < levels.size()) {
      const double behind = angle_of(levels[at + 1]) - angle;
      step.back = (1.0 - std::cos(change)) / std::sin(behind);
      step.along = std::sin(change) - step.back * std::cos(behind);
    }
    steps.push_back(step);
  }
  return steps;
}

std::string sampler_source() { return std::string(step_methods) + sampler_methods; }

void register_sampler(torch::jit::Module& module, const std::vector<NoiseLevel>& levels, double reach) {
  const auto steps = steps_along(levels);
  const auto register_floats = [&](const char* name, auto value_of) {
    c10::List<double> values;
    for (std::size_t at = 0; at < levels.size(); ++at) values.push_back(value_of(at));
    module.register_attribute(name, c10::ListType::create(c10::FloatType::get()), values);
  };
  register_floats("signals", [&](std::size_t at) { return levels[at].signal; });
  register_floats("noises", [&](std::size_t at) { return levels[at].noise; });
  register_floats("alone", [&](std::size_t at) { return steps[at].alone; });
  register_floats("along", [&](std::size_t at) { return steps[at].along; });
  register_floats("back", [&](std::size_t at) { return steps[at].back; });
  module.register_attribute("reach", c10::FloatType::get(), reach);
}

}  // namespace outcrop::generator
