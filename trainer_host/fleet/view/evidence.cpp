#include "trainer_host/fleet/view/evidence.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace outcrop::fleet {
namespace {

constexpr std::array<double, 4> lambdas{10, 20, 40, 80};
constexpr double widest = 3;  // log ratios beyond are given as this: twenty times

double middle_of(const std::vector<double>& sorted) {
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// The largest delta that is still denied; none where even the widest is not. Evidence falls as delta rises.
std::optional<double> lower_end(const std::vector<double>& log_ratios) {
  double low = -widest;
  double high = widest;
  if (evidence_above(log_ratios, low) < interval_line) return std::nullopt;
  for (int step = 0; step < 24; ++step) {
    const double between = (low + high) / 2;
    (evidence_above(log_ratios, between) >= interval_line ? low : high) = between;
  }
  return low;
}

}  // namespace

double evidence_above(const std::vector<double>& log_ratios, double delta) {
  double sum = 0;
  for (const double lambda : lambdas) {
    double product = 1;
    for (const double ratio : log_ratios) product *= 1 + std::tanh(lambda * (ratio - delta));
    sum += product;
  }
  return sum / lambdas.size();
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::regression:
      return "regression";
    case Verdict::suspected:
      return "suspected";
    case Verdict::none:
      return "none";
    case Verdict::insufficient:
      break;
  }
  return "insufficient data";
}

PairedChange judge(std::vector<double> log_ratios) {
  std::sort(log_ratios.begin(), log_ratios.end());
  const double harm = std::log1p(harm_from);
  PairedChange change;
  change.boards = log_ratios.size();
  change.slower = static_cast<std::size_t>(
      std::count_if(log_ratios.begin(), log_ratios.end(), [&](double one) { return one > harm; }));
  change.median = std::expm1(middle_of(log_ratios));
  change.evidence = evidence_above(log_ratios, harm);
  if (const auto low = lower_end(log_ratios)) change.low = std::expm1(*low);
  std::vector<double> mirrored;
  for (const double one : log_ratios) mirrored.push_back(-one);
  if (const auto high = lower_end(mirrored)) change.high = std::expm1(-*high);
  if (change.evidence >= stop_line) {
    change.verdict = Verdict::regression;
  } else if (change.boards < least_boards) {
    change.verdict = Verdict::insufficient;
  } else {
    change.verdict = change.median > harm_from ? Verdict::suspected : Verdict::none;
  }
  return change;
}

}  // namespace outcrop::fleet
