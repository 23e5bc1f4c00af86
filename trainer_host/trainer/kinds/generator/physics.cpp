#include "trainer_host/trainer/kinds/generator/physics.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::generator {
namespace {

// Between the two that are nearest, of sorted values.
double percentile_of(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return part > 0.0 ? sorted[below] + part * (sorted[above] - sorted[below]) : sorted[below];
}

}  // namespace

Result<std::vector<float>> solved_gathers(std::span<const float> map,
                                          const data::Geometry& geometry) {
  {
    data::AcousticSolver trial(geometry);
    OUTCROP_CHECK(trial.set_velocity(map));
  }
  std::vector<float> solved(geometry.gather_size());
  at::parallel_for(0, static_cast<std::int64_t>(geometry.shots), 1, [&](auto begin, auto end) {
    data::AcousticSolver solver(geometry);
    if (!solver.set_velocity(map)) return;  // it took the same map above
    for (auto i = begin; i < end; ++i) {
      const auto shot = static_cast<std::size_t>(i);
      solver.shoot(shot, std::span(solved).subspan(shot * geometry.shot_size(), geometry.shot_size()));
    }
  });
  return solved;
}

std::optional<Interval> interval_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  for (double& value : values) {
    if (std::isnan(value)) value = std::numeric_limits<double>::infinity();
  }
  std::sort(values.begin(), values.end());
  return Interval{percentile_of(values, 0.5), percentile_of(values, 0.1), percentile_of(values, 0.9)};
}

void PhysicsSum::Values::add(const GatherError& error) {
  whole.push_back(error.whole);
  if (error.reflections) muted.push_back(*error.reflections);
}

void PhysicsSum::add(std::span<const float> map, std::span<const float> solved,
                     std::span<const float> gathers) {
  ++pairs_;
  logarithmic_.add(gather_error(map, solved, gathers, geometry_));
  physical_.add(gather_error(map, solved, gathers, geometry_, PressureScale::physical));
}

PhysicsLine PhysicsSum::line() const {
  return {name_,
          pairs_,
          interval_of(logarithmic_.whole),
          interval_of(logarithmic_.muted),
          interval_of(physical_.whole),
          interval_of(physical_.muted)};
}

}  // namespace outcrop::generator
