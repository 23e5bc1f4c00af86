#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace outcrop::data {

// What the solver should give in a homogeneous medium of `velocity` m/s at `distance` m from the
// source: p(t) = dx^2 / (2 pi) * integral of w(t - tau) / sqrt(tau^2 - r^2/v^2) over tau, the
// two-dimensional Green's function. 1000 samples, sample i at (i + 1) ms.
[[nodiscard]] std::vector<double> exact_homogeneous_trace(double velocity, double distance);

// |computed - exact| / |exact| in L2 over the samples within 90 ms of the arrival of the wavelet's
// peak, at distance / velocity + 73 ms.
[[nodiscard]] double relative_error_at_arrival(std::span<const float> computed,
                                               std::span<const double> exact, double velocity,
                                               double distance);

// What a correct solver of this order shows on this grid with sources and receivers in the middle
// of the map, on row 35, measured independently of ours: numerical dispersion, which grows with
// distance and falls with velocity. On row 1 the damping that begins right above adds to it (.018
// instead of .012 at 4500 m/s and 600 m): part of the experiment, not of the solver.
inline constexpr std::size_t known_errors_row = 35;
struct KnownError {
  double velocity;
  double distance;
  double relative_error;
};
inline constexpr KnownError known_errors[]{
    {1500, 100, .022},  {1500, 300, .062},  {1500, 600, .118},
    {2500, 100, .0019}, {2500, 300, .0035}, {2500, 600, .0063},
    {4500, 100, .0023}, {4500, 300, .0046}, {4500, 600, .0119},
};

}  // namespace outcrop::data
