#include "trainer_host/fleet/view/paired_change.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/base/median.hpp"
#include "trainer_host/fleet/rollout/evidence.hpp"

namespace outcrop::fleet {
namespace {

constexpr double interval_alpha = 0.05;

}  // namespace

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

PairedChange judge(const std::vector<double>& log_ratios) {
  const double harm = std::log1p(harm_from);
  std::vector<double> ratios;
  for (const double one : log_ratios) ratios.push_back(std::exp(one));
  PairedChange change;
  change.boards = log_ratios.size();
  change.slower = static_cast<std::size_t>(
      std::count_if(log_ratios.begin(), log_ratios.end(), [&](double one) { return one > harm; }));
  change.median = std::expm1(median(log_ratios));
  change.evidence = slower_evidence(ratios, 1 + harm_from);
  const Interval interval = ratio_interval(ratios, interval_alpha);
  if (interval.low > 0) change.low = interval.low - 1;
  if (std::isfinite(interval.high)) change.high = interval.high - 1;
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
