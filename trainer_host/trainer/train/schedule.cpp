#include "trainer_host/trainer/train/schedule.hpp"

#include <cmath>
#include <numbers>

namespace outcrop::train {
namespace {

constexpr double rise = 1.0 / 6.0;
constexpr double start = 0.1;
constexpr double finish = 0.01;

}  // namespace

double learning_rate(double peak, double progress) {
  if (progress < rise) return peak * (start + (1.0 - start) * progress / rise);
  const double fall = (progress - rise) / (1.0 - rise);
  return peak * (finish + (1.0 - finish) * 0.5 * (1.0 + std::cos(std::numbers::pi * fall)));
}

}  // namespace outcrop::train
