#pragma once

#include <span>

namespace outcrop::fleet {

// How much one variant errs beside another, by the mean errors of the same outputs in the same order. Units differ from output
// to output, so each error counts as a share of the larger of the two, and of each variant its worst share: above 0, at most 1.
// An output in which neither errs says nothing; where that is so of all, both are 1. Both have as many.
struct WorstErrors {
  double one = 1, other = 1;
};
[[nodiscard]] WorstErrors worst_errors(std::span<const double> one, std::span<const double> other);

}  // namespace outcrop::fleet
