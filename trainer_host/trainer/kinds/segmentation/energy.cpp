#include "trainer_host/trainer/kinds/segmentation/energy.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::segmentation {
namespace {

namespace grid = data::grid;

constexpr std::ptrdiff_t reach = 20;  // samples to either side

// Sums of squares over all shots up to each recorded sample of one receiver.
std::vector<double> sums_of_squares(std::span<const float> gathers, std::size_t receiver) {
  std::vector<double> sums(grid::times + 1);
  for (std::size_t t = 0; t < grid::times; ++t) {
    double square = 0.0;
    for (std::size_t shot = 0; shot < grid::shots; ++shot) {
      const double p = gathers[(shot * grid::times + t) * grid::width + receiver];
      square += p * p;
    }
    sums[t + 1] = sums[t] + square;
  }
  return sums;
}

float energy_around(const std::vector<double>& sums, double sample) {
  const auto center = static_cast<std::ptrdiff_t>(sample);
  const auto last = static_cast<std::ptrdiff_t>(grid::times);
  const auto begin = std::clamp<std::ptrdiff_t>(center - reach, 0, last);
  const auto end = std::clamp<std::ptrdiff_t>(center + reach + 1, 0, last);
  if (begin >= end) return 0.0F;
  const double sum = sums[static_cast<std::size_t>(end)] - sums[static_cast<std::size_t>(begin)];
  const double count = static_cast<double>(end - begin) * grid::shots;
  return static_cast<float>(std::log1p(std::sqrt(std::max(0.0, sum) / count)));
}

}  // namespace

void gather_energy(std::span<const float> map, std::span<const float> gathers,
                   std::span<float> energy) {
  const double two_way = 2.0 * grid::spacing / grid::time_step;  // samples times m/s
  for (std::size_t column = 0; column < grid::width; ++column) {
    const auto sums = sums_of_squares(gathers, column);
    double sample = data::experiment::wavelet_peak;
    for (std::size_t row = 0; row < grid::depth; ++row) {
      const std::size_t cell = row * grid::width + column;
      sample += two_way / map[cell];
      energy[cell] = energy_around(sums, sample);
    }
  }
}

}  // namespace outcrop::segmentation
