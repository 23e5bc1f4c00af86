#include "trainer_host/trainer/kinds/generator/scores/edges.hpp"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

namespace outcrop::generator {
namespace {

// e^(-2πi k / n) for all k below n.
std::vector<std::complex<double>> roots_of_unity(std::size_t n) {
  std::vector<std::complex<double>> roots(n);
  for (std::size_t k = 0; k < n; ++k) {
    roots[k] = std::polar(1.0, -2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n));
  }
  return roots;
}

}  // namespace

double share_in_layer(std::span<const float> truth, std::span<const float> map) {
  std::size_t inside = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (std::fabs(map[i] - truth[i]) <= same_layer) ++inside;
  }
  return static_cast<double>(inside) / static_cast<double>(truth.size());
}

double fine_share(std::span<const float> map, std::size_t rows, std::size_t columns) {
  const std::size_t n = rows - 1;
  const auto roots = roots_of_unity(n);
  std::vector<double> steps(n);
  double fine = 0.0;
  double all = 0.0;
  for (std::size_t column = 0; column < columns; ++column) {
    bool any = false;
    for (std::size_t row = 0; row < n; ++row) {
      steps[row] = static_cast<double>(map[(row + 1) * columns + column]) - static_cast<double>(map[row * columns + column]);
      any = any || steps[row] != 0.0;
    }
    if (!any) continue;
    // Without the mean gradient, which is no detail; the spectrum of real values is symmetric.
    for (std::size_t k = 1; 2 * k <= n; ++k) {
      std::complex<double> sum = 0.0;
      for (std::size_t row = 0; row < n; ++row) sum += steps[row] * roots[k * row % n];
      const double energy = std::norm(sum);
      all += energy;
      if (4 * k > n) fine += energy;
    }
  }
  return all > 0.0 ? fine / all : 0.0;
}

}  // namespace outcrop::generator
