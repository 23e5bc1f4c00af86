#include "trainer_host/fleet/rollout/worst_errors.hpp"

#include <algorithm>
#include <cstddef>

namespace outcrop::fleet {
namespace {

constexpr double least_error = 1e-12;  // below is none, and shares are above 0 so that they have ratios

}  // namespace

WorstErrors worst_errors(std::span<const double> one, std::span<const double> other) {
  double worst_of_one = 0, worst_of_other = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double larger = std::max(one[i], other[i]);
    if (larger < least_error) continue;
    worst_of_one = std::max(worst_of_one, std::max(one[i], least_error) / larger);
    worst_of_other = std::max(worst_of_other, std::max(other[i], least_error) / larger);
  }
  return worst_of_one > 0 ? WorstErrors{worst_of_one, worst_of_other} : WorstErrors();
}

}  // namespace outcrop::fleet
