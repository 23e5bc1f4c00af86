#include "trainer_host/trainer/analyze/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::analyze {
namespace {

// Of sorted values, by nearest rank.
double ranked(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::lround(share * last))];
}

Interval interval_of(double value, std::vector<double> drawn) {
  if (drawn.empty()) return {value, value, value};
  std::sort(drawn.begin(), drawn.end());
  return {value, ranked(drawn, 0.025), ranked(drawn, 0.975)};
}

double mean_of(std::span<const double> rows) {
  return std::accumulate(rows.begin(), rows.end(), 0.0) / static_cast<double>(rows.size());
}

}  // namespace

Interval bootstrap(std::span<const double> rows, const std::function<double(double)>& figure,
                   std::size_t draws, std::uint64_t seed) {
  std::vector<double> drawn;
  for (std::size_t draw = 0; draw < draws; ++draw) {
    data::CounterRandom random(seed, draw);
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) sum += rows[random.below(rows.size())];
    drawn.push_back(figure(sum / static_cast<double>(rows.size())));
  }
  return interval_of(figure(mean_of(rows)), std::move(drawn));
}

Interval bootstrap_change(std::span<const double> before, std::span<const double> after,
                          const std::function<double(double)>& figure, std::size_t draws,
                          std::uint64_t seed) {
  std::vector<double> drawn;
  const auto count = static_cast<double>(before.size());
  for (std::size_t draw = 0; draw < draws; ++draw) {
    data::CounterRandom random(seed, draw);
    double first = 0;
    double second = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::size_t row = random.below(before.size());
      first += before[row];
      second += after[row];
    }
    drawn.push_back(figure(second / count) - figure(first / count));
  }
  return interval_of(figure(mean_of(after)) - figure(mean_of(before)), std::move(drawn));
}

McNemar mcnemar(std::size_t only_before, std::size_t only_after) {
  McNemar test{only_before, only_after, 1.0};
  const std::size_t all = only_before + only_after;
  if (all == 0) return test;
  // Sum of the binomial's tail, each term from the logarithms of factorials: 2^-n alone would be 0.
  const auto factorial = [](std::size_t n) { return std::lgamma(static_cast<double>(n) + 1.0); };
  double tail = 0;
  for (std::size_t k = 0; k <= std::min(only_before, only_after); ++k) {
    tail += std::exp(factorial(all) - factorial(k) - factorial(all - k) -
                     static_cast<double>(all) * std::log(2.0));
  }
  test.p = std::min(1.0, 2.0 * tail);
  return test;
}

}  // namespace outcrop::analyze
