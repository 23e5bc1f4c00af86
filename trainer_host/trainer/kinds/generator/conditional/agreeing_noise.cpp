#include "trainer_host/trainer/kinds/generator/conditional/agreeing_noise.hpp"

#include <cmath>
#include <numbers>

namespace outcrop::generator {
namespace {

using torch::Tensor;

constexpr std::size_t steps = 200;
constexpr double first_rate = 0.1;
constexpr std::int64_t starts = 8;
// What a decoder gets wrong it gets wrong over some cells at once, and so are logs: that many known cells say as much as one would.
constexpr double cells_together = 8.0;

// By row: |known · (maps - wanted)|² / deviation².
Tensor misfit_of(const Tensor& maps, const Tensor& wanted, const KnownCells& cells, double deviation) {
  return ((maps - wanted) * cells.known / deviation).square().sum({1, 2});
}

// For each row of `noise` where its way down begins: at itself, or at the one of some other draws, its own, that what is known
// speaks for more. From a map of quite another earth the way may end in the first hollow.
Tensor begin_of(const std::function<Tensor(const Tensor& noise)>& maps, const Tensor& noise, const Tensor& wanted,
                const KnownCells& cells, double deviation, at::Generator& random) {
  const torch::NoGradGuard no_gradient;
  Tensor begin = noise.detach().clone();
  Tensor least = misfit_of(maps(noise), wanted, cells, deviation);
  for (std::int64_t start = 0; start < starts; ++start) {
    const Tensor other = torch::randn(noise.sizes(), random);
    const Tensor value = misfit_of(maps(other), wanted, cells, deviation) + (other - noise).square().sum(1);
    const Tensor better = value < least;
    begin = torch::where(better.unsqueeze(1), other, begin);
    least = torch::where(better, value, least);
  }
  return begin;
}

}  // namespace

Tensor agreeing_noise(const std::function<Tensor(const Tensor& noise)>& maps, const Tensor& noise,
                      const KnownCells& cells, std::uint64_t seed,
                      const std::function<void(std::size_t done, std::size_t total)>& progress) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  const double deviation = cells.deviation * std::sqrt(cells_together);
  const Tensor wanted =
      cells.values + torch::randn({noise.size(0), cells.values.size(0), cells.values.size(1)}, random) * deviation;
  Tensor x = begin_of(maps, noise, wanted, cells, deviation, random).set_requires_grad(true);
  torch::optim::Adam optimizer({x}, torch::optim::AdamOptions(first_rate));
  for (std::size_t step = 0; step < steps; ++step) {
    const double share = static_cast<double>(step) / steps;
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups().front().options())
        .lr(first_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * share)));
    const Tensor loss = (misfit_of(maps(x), wanted, cells, deviation).sum() + (x - noise).square().sum()) / 2;
    // Of the noise alone: parameters of what makes maps get none.
    x.mutable_grad() = torch::autograd::grad({loss}, {x}).front();
    optimizer.step();
    if (progress) progress(step + 1, steps);
  }
  return x.detach();
}

}  // namespace outcrop::generator
