#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace outcrop::fleet {

// Whether boards became slower, judged by pairs: for each board one log ratio, log(after / before), of what the
// board itself measured. The board is the unit, not the measurement.
//
// E = mean over λ of Π (1 + tanh(λ (d_i − δ))), λ in {10, 20, 40, 80}, is an e-process where the d_i are
// symmetric about at most δ: its expectation is at most 1, so that E ≥ 1/α comes about with probability at most
// α at any time (Ville), however often it is looked at. (exp(λz)/cosh(λz) = 1 + tanh(λz); Vovk and Wang, "Merging
// sequential e-values via martingales", 2022; Howard et al., "Time-uniform, nonparametric, nonasymptotic
// confidence sequences", Annals of Statistics 49(2), 2021.)

inline constexpr double harm_from = 0.02;     // δ = log(1 + this): what is slower by less harms nobody
inline constexpr double stop_line = 100;      // 1/α, α = 1 %
inline constexpr double interval_line = 40;   // for each end of an interval of 95 %

// Evidence that the ratios are above `delta`, a logarithm. 1 without ratios.
[[nodiscard]] double evidence_above(const std::vector<double>& log_ratios, double delta);

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
[[nodiscard]] PairedChange judge(std::vector<double> log_ratios);

}  // namespace outcrop::fleet
