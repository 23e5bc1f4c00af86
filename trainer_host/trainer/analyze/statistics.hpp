#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace outcrop::analyze {

// A figure and where 95 of 100 samples of as many rows would put it.
struct Interval {
  double value = 0;
  double low = 0;
  double high = 0;
};

// Efron's percentile interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13) of
// `figure` of the mean over rows: rows are drawn anew, as many as there are, `draws` times. The same seed gives
// the same interval on every machine. `rows` is not empty.
[[nodiscard]] Interval bootstrap(std::span<const double> rows,
                                 const std::function<double(double mean)>& figure,
                                 std::size_t draws = 2000, std::uint64_t seed = 1);

// The same for how much the figure of `after` is above that of `before`, of the same rows: each draw takes
// the same rows of both, which are as many.
[[nodiscard]] Interval bootstrap_change(std::span<const double> before, std::span<const double> after,
                                        const std::function<double(double mean)>& figure,
                                        std::size_t draws = 2000, std::uint64_t seed = 1);

// McNemar's test, exact (by the binomial distribution; McNemar, Psychometrika 12, 1947): whether two models
// are right equally often, by the rows where one alone is.
struct McNemar {
  std::size_t only_before = 0;  // rows that the first alone has right
  std::size_t only_after = 0;
  double p = 1;                 // two-sided
};
[[nodiscard]] McNemar mcnemar(std::size_t only_before, std::size_t only_after);

}  // namespace outcrop::analyze
