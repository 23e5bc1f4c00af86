#include "trainer_host/trainer/models/elementwise.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace outcrop::models {
namespace {

constexpr std::int64_t lanes = 16;
constexpr std::int64_t block = 64 * lanes;  // summed in floats, blocks in double

}  // namespace

void adam_update(float* weight, const float* gradient, float* first, float* second,
                 std::int64_t count, const AdamCoefficients& c) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * c.gradient_scale;
    first[i] = c.beta1 * first[i] + (1.0F - c.beta1) * g;
    second[i] = c.beta2 * second[i] + (1.0F - c.beta2) * g * g;
    const float spread = std::sqrt(second[i]) * c.second_correction + c.epsilon;
    weight[i] = weight[i] * c.decay - c.step_size * first[i] / spread;
  }
}

double absolute_plus_squared(const float* prediction, const float* truth, float* slope,
                             std::int64_t count, float scale) {
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t end = std::min(begin + block, count);
    const std::int64_t whole = begin + (end - begin) / lanes * lanes;
    std::array<float, lanes> part{};
    for (std::int64_t i = begin; i < whole; i += lanes) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const float d = prediction[i + lane] - truth[i + lane];
        part[static_cast<std::size_t>(lane)] += std::fabs(d) + d * d;
        slope[i + lane] = scale * (std::copysign(1.0F, d) + 2.0F * d);
      }
    }
    for (std::int64_t i = whole; i < end; ++i) {
      const float d = prediction[i] - truth[i];
      part[0] += std::fabs(d) + d * d;
      slope[i] = scale * (std::copysign(1.0F, d) + 2.0F * d);
    }
    for (const float value : part) sum += value;
  }
  return sum;
}

}  // namespace outcrop::models
