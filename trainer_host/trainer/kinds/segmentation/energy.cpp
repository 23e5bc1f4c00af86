#include "trainer_host/trainer/kinds/segmentation/energy.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::segmentation {
namespace {

constexpr double reach = 20.0;  // milliseconds to either side

// Sums of squares over all shots up to each recorded step of one receiver.
std::vector<double> sums_of_squares(std::span<const float> gathers, std::size_t receiver,
                                    const data::Geometry& geometry) {
  std::vector<double> sums(geometry.times + 1);
  for (std::size_t t = 0; t < geometry.times; ++t) {
    double square = 0.0;
    for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
      const double p = gathers[shot * geometry.shot_size() + t * geometry.width + receiver];
      square += p * p;
    }
    sums[t + 1] = sums[t] + square;
  }
  return sums;
}

// The root mean square of `reach` steps to either side of `step`, of `sums` over so many shots.
float energy_around(const std::vector<double>& sums, double step, std::ptrdiff_t reach_steps,
                    std::size_t shots) {
  const auto last = static_cast<std::ptrdiff_t>(sums.size()) - 1;
  // A slow column answers long after the end: not beyond what a step can be.
  const auto center = static_cast<std::ptrdiff_t>(
      std::min(step, static_cast<double>(last + reach_steps + 1)));
  const auto begin = std::clamp<std::ptrdiff_t>(center - reach_steps, 0, last);
  const auto end = std::clamp<std::ptrdiff_t>(center + reach_steps + 1, 0, last);
  if (begin >= end) return 0.0F;
  const double sum = sums[static_cast<std::size_t>(end)] - sums[static_cast<std::size_t>(begin)];
  const double count = static_cast<double>(end - begin) * static_cast<double>(shots);
  return static_cast<float>(std::log1p(std::sqrt(std::max(0.0, sum) / count)));
}

}  // namespace

void gather_energy(std::span<const float> map, std::span<const float> gathers,
                   std::span<float> energy, const data::Geometry& geometry) {
  const double step_ms = geometry.time_step * 1e3;
  // Steps times m/s. The step in single precision: with it released models were trained, and a time at
  // the border of two steps must not change sides.
  const double two_way = 2.0 * geometry.spacing / static_cast<float>(geometry.time_step);
  // The step nearest to half a millisecond after the peak: step i is at (i + 1) time steps.
  const double peak =
      (static_cast<double>(data::wavelet_peak(geometry.peak_frequency)) + 0.5) / step_ms - 0.5;
  const auto reach_steps = static_cast<std::ptrdiff_t>(std::lround(reach / step_ms));
  for (std::size_t column = 0; column < geometry.width; ++column) {
    const auto sums = sums_of_squares(gathers, column, geometry);
    double step = peak;
    for (std::size_t row = 0; row < geometry.depth; ++row) {
      const std::size_t cell = row * geometry.width + column;
      step += two_way / map[cell];
      energy[cell] = energy_around(sums, step, reach_steps, geometry.shots);
    }
  }
}

}  // namespace outcrop::segmentation
