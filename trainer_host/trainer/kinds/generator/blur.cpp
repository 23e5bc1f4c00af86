#include "trainer_host/trainer/kinds/generator/blur.hpp"

#include <cmath>
#include <cstdint>

namespace outcrop::generator {

torch::Tensor blurred(const torch::Tensor& maps, double deviation) {
  const auto reach = static_cast<std::int64_t>(std::ceil(3 * deviation));
  auto weights = (-torch::arange(-reach, reach + 1, torch::kFloat).square() / (2 * deviation * deviation)).exp();
  weights = weights / weights.sum();
  const auto wide = torch::replication_pad2d(maps, {reach, reach, reach, reach});
  return torch::conv2d(torch::conv2d(wide, weights.reshape({1, 1, -1, 1})), weights.reshape({1, 1, 1, -1}));
}

}  // namespace outcrop::generator
