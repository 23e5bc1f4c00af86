#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace outcrop::generator {
namespace {

constexpr double offset = 0.008;
constexpr double most_variance = 0.999;

double remaining_signal(double share) {
  const double cosine = std::cos((share + offset) / (1.0 + offset) * std::numbers::pi / 2);
  return cosine * cosine;
}

}  // namespace

const std::vector<NoiseLevel>& noise_levels() {
  static const std::vector<NoiseLevel> levels = [] {
    std::vector<NoiseLevel> all;
    double squared = 1.0;
    for (std::int64_t step = 0; step < noise_steps; ++step) {
      const double before = remaining_signal(static_cast<double>(step) / noise_steps);
      const double behind = remaining_signal(static_cast<double>(step + 1) / noise_steps);
      squared *= 1.0 - std::min(1.0 - behind / before, most_variance);
      all.push_back({std::sqrt(squared), std::sqrt(1.0 - squared)});
    }
    return all;
  }();
  return levels;
}

std::vector<std::int64_t> chosen_steps(std::int64_t count) {
  TORCH_CHECK(count >= 1 && count <= noise_steps, count, " steps of a sampler; it takes 1 to ", noise_steps,
              ", at which its diffusion was trained");
  std::vector<std::int64_t> steps;
  for (std::int64_t i = 1; i <= count; ++i) steps.push_back(i * noise_steps / count - 1);
  return steps;
}

}  // namespace outcrop::generator
