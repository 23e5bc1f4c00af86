#include "trainer_host/trainer/train/step.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/train/finite.hpp"

namespace outcrop::train {
namespace {

Result<std::vector<std::optional<double>>> diverged(kinds::Task& task, std::span<const kinds::Draw> draws) {
  return fail(ErrorCode::diverged,
              first_non_finite(task, draws).value_or("the loss") + " is not finite");
}

bool all_finite(const kinds::Loss& loss) {
  return std::all_of(loss.parts.begin(), loss.parts.end(),
                     [](const std::optional<double>& part) { return !part || std::isfinite(*part); });
}

}  // namespace

Adam make_optimizer(const kinds::Phase& phase, const LoopConfig& config) {
  models::NamedTensors parameters;
  std::vector<double> rates;
  for (const kinds::Phase::Trained& trained : phase.trained) {
    parameters.emplace_back(trained.name, trained.tensor);
    rates.push_back(trained.rate);
  }
  return {std::move(parameters), config.weight_decay, std::move(rates)};
}

Result<std::vector<std::optional<double>>> train_step(kinds::Task& task, const kinds::Phase& phase,
                                                      Adam& optimizer, std::span<const kinds::Draw> draws,
                                                      const LoopConfig& config, double learning_rate) {
  optimizer.zero_gradients();
  const kinds::Loss loss = task.loss(phase, draws);
  if (!all_finite(loss)) return diverged(task, draws);
  loss.total.backward();
  const double norm = optimizer.gradient_norm();
  if (!std::isfinite(norm)) return diverged(task, draws);
  optimizer.step(learning_rate, std::min(1.0, config.gradient_clip / std::max(norm, 1e-12)));
  return loss.parts;
}

}  // namespace outcrop::train
