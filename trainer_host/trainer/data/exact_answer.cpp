#include "trainer_host/trainer/data/exact_answer.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::data {

std::vector<double> exact_homogeneous_trace(double velocity, double distance) {
  constexpr double pi = 3.14159265358979323846;
  constexpr double spacing = 10.0;
  constexpr double wavelet_length = 0.1465;
  constexpr int intervals = 4000;
  const double arrival = distance / velocity;
  std::vector<double> trace(grid::times, 0.0);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const double time = static_cast<double>(i + 1) * 1e-3;
    if (time <= arrival) continue;
    // tau = arrival * cosh(u) takes the root out of the integral: du = dtau / sqrt(...). Only
    // where the wavelet is not zero is there anything to sum.
    const double latest = std::acosh(time / arrival);
    const double begin = std::max(time - wavelet_length, arrival);
    const double earliest = std::acosh(begin / arrival);
    const double width = (latest - earliest) / intervals;
    double sum = 0.0;
    for (int k = 0; k < intervals; ++k) {
      const double u = earliest + (k + 0.5) * width;
      sum += ricker(time - arrival * std::cosh(u));
    }
    trace[i] = spacing * spacing / (2.0 * pi) * sum * width;
  }
  return trace;
}

double relative_error_at_arrival(std::span<const float> computed, std::span<const double> exact,
                                 double velocity, double distance) {
  const double arrival = distance / velocity + 1e-3 * experiment::wavelet_peak;
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double time = static_cast<double>(i + 1) * 1e-3;
    if (std::abs(time - arrival) > 0.09) continue;
    const double off = static_cast<double>(computed[i]) - exact[i];
    difference += off * off;
    norm += exact[i] * exact[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace outcrop::data
