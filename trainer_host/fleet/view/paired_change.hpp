#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace outcrop::fleet {

// Whether boards became slower between two releases that each of them measured, some time apart: for each board one
// log ratio, log(after / before). Judged by the evidence that decides rollouts (rollout/evidence.hpp), whose pairs were
// measured in turns; these were not, and decide nothing.

inline constexpr double harm_from = 0.02;     // what is slower by less harms nobody
inline constexpr double stop_line = 100;      // 1/α, α = 1 %

enum class Verdict {
  regression,    // evidence at the stop line or beyond
  suspected,     // slower in the median by more than is harmless, without the evidence
  insufficient,  // fewer than `least_boards` boards measured both: no evidence can be had
  none,          // not slower, or by what is harmless
};
[[nodiscard]] std::string_view to_string(Verdict verdict);
inline constexpr std::size_t least_boards = 7;  // 2^7 is above the stop line: fewer can never reach it

struct PairedChange {
  std::size_t boards = 0;
  std::size_t slower = 0;          // how many of them by more than is harmless
  double median = 0;               // of after / before − 1: 0.05 is 5 % slower
  std::optional<double> low, high;  // 95 % at any time, of the same; none where boards are too few
  double evidence = 1;             // of harm
  Verdict verdict = Verdict::insufficient;
};

// `log_ratios` not empty.
[[nodiscard]] PairedChange judge(const std::vector<double>& log_ratios);

}  // namespace outcrop::fleet
