#include "trainer_host/fleet/rollout/evidence.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include <boost/math/tools/toms748_solve.hpp>

#include "protocol/base/counted.hpp"
#include "protocol/base/median.hpp"
#include "trainer_host/fleet/rollout/figures_in_words.hpp"

namespace outcrop::fleet {
namespace {

// Of a logarithm: more does not count, so that one board that lies or was disturbed has the weight of two.
constexpr double most_of_a_board = 0.1;
constexpr int shares = 200;
constexpr std::size_t few_boards = 500;
constexpr double as_good_as_alike = 1e-4;  // of a logarithm
constexpr std::uintmax_t most_looks = 60;
constexpr double exact_enough = 1e-9;  // of a logarithm
constexpr double far_too_slow = 2;
constexpr std::size_t far_too_slow_boards = 2;

using Logs = std::array<double, RatioEvidence::lambdas.size()>;

// log(1 + tanh(lambda z)) of each lambda, without an infinity where tanh is -1 to the last digit. Each lambda is twice the one
// before, so that one exponential, squared, is that of all of them.
Logs log_factors(double z) {
  const double first = RatioEvidence::lambdas.front() * std::abs(z);
  double decay = std::exp(-2 * first);
  double below = z > 0 ? 0 : 2 * first;
  Logs logs{};
  for (double& log : logs) {
    log = std::log(2 / (1 + decay)) - below;
    decay *= decay;
    below *= 2;
  }
  return logs;
}

double bounded(double log_ratio, double line, double sign) {
  return std::clamp(sign * (log_ratio - line), -most_of_a_board, most_of_a_board);
}

// Of ratios: the mean of two in the middle is that of their logarithms. 1 of none.
double median_ratio(const std::vector<double>& ratios) {
  std::vector<double> logs;
  for (const double ratio : ratios) logs.push_back(std::log(ratio));
  return std::exp(median(std::move(logs)));
}

std::string bound(double ratio) {
  if (ratio <= 0) return "-∞";
  if (!std::isfinite(ratio)) return "∞";
  char text[32];
  std::snprintf(text, sizeof text, "%+.1f", 100 * (ratio - 1));
  return text;
}

ClassEvidence about(const std::string& device_class, const Observed& seen, const RolloutLimits& limits, double line) {
  ClassEvidence result;
  result.device_class = device_class;
  result.boards = seen.ratios.size();
  result.ended = seen.ended;
  result.failures = seen.failures;
  result.silent = seen.silent;
  if (limits.failed_share > 0) {
    result.failed = failure_evidence(seen.failures, seen.ended, std::min(limits.failed_share, 0.999));
  }
  // A board at most doubles the evidence.
  result.too_few = std::log(2.0) * static_cast<double>(std::max(seen.all, seen.ratios.size())) < std::log(line);
  if (seen.ratios.empty()) return result;
  const double allowed = 1 + limits.slower_allowed;
  result.ratio = median_ratio(seen.ratios);
  const auto [least, most] = std::minmax_element(seen.ratios.begin(), seen.ratios.end());
  result.least = *least;
  result.most = *most;
  result.slower = slower_evidence(seen.ratios, allowed);
  result.not_slower = not_slower_evidence(seen.ratios, allowed);
  return result;
}

std::string slower_in_words(const ClassEvidence& seen) {
  std::string text = "p90 " + percent(seen.ratio);
  if (seen.interval.low > 0 || std::isfinite(seen.interval.high)) {
    text += " [" + bound(seen.interval.low) + ", " + bound(seen.interval.high) + "]";
  }
  return text;
}

// The classes whose boards are far too slow, which needs no counting.
std::optional<std::string> far_too_slow_boards_of(const std::map<std::string, Observed>& classes, const RolloutLimits& limits) {
  for (const auto& [name, seen] : classes) {
    const auto slow = static_cast<std::size_t>(
        std::count_if(seen.throughout.begin(), seen.throughout.end(),
                      [&](double ratio) { return ratio > far_too_slow * (1 + limits.slower_allowed); }));
    if (slow == 0 || (slow < far_too_slow_boards && slow < seen.ratios.size())) continue;
    return "p90 " + percent(median_ratio(seen.ratios)) + " on " + name + ": " + std::to_string(slow) + " of " +
           counted(seen.ratios.size(), "board") + " more than twice as slow as with the release before";
  }
  return std::nullopt;
}

// Boards whose ratios are alike to a hundredth of a per cent, where there are so many that it saves time.
struct Alike {
  double log = 0;
  double boards = 0;
};

std::vector<Alike> alike(std::span<const double> ratios) {
  std::map<std::int64_t, double> counts;
  std::vector<Alike> all;
  for (const double ratio : ratios) {
    if (ratios.size() <= few_boards) {
      all.push_back({std::log(ratio), 1});
    } else {
      ++counts[std::llround(std::log(ratio) / as_good_as_alike)];
    }
  }
  for (const auto& [place, boards] : counts) all.push_back({static_cast<double>(place) * as_good_as_alike, boards});
  return all;
}

// The logarithm of what RatioEvidence comes to, however large.
double log_evidence_of(const std::vector<Alike>& boards, double line, double sign) {
  Logs logs{};
  for (const Alike& one : boards) {
    const Logs factors = log_factors(bounded(one.log, line, sign));
    for (std::size_t i = 0; i < logs.size(); ++i) logs[i] += one.boards * factors[i];
  }
  const double most = *std::max_element(logs.begin(), logs.end());
  double sum = 0;
  for (const double log : logs) sum += std::exp(log - most);
  return most + std::log(sum / static_cast<double>(logs.size()));
}

}  // namespace

RatioEvidence::RatioEvidence(double allowed, bool mirrored) : line_(std::log(allowed)), sign_(mirrored ? -1 : 1) {}

void RatioEvidence::add(double ratio) {
  const Logs factors = log_factors(bounded(std::log(ratio), line_, sign_));
  for (std::size_t i = 0; i < lambdas.size(); ++i) logs_[i] += factors[i];
}

double RatioEvidence::value() const {
  double sum = 0;
  for (const double log : logs_) sum += std::exp(std::min(log, 600.0));  // no evidence needs more
  return sum / static_cast<double>(logs_.size());
}

double slower_evidence(std::span<const double> ratios, double allowed) {
  RatioEvidence evidence(allowed);
  for (const double ratio : ratios) evidence.add(ratio);
  return evidence.value();
}

double not_slower_evidence(std::span<const double> ratios, double allowed) {
  RatioEvidence evidence(allowed, true);
  for (const double ratio : ratios) evidence.add(ratio);
  return evidence.value();
}

double failure_evidence(std::size_t failures, std::size_t boards, double allowed) {
  if (boards == 0) return 1;
  const auto failed = static_cast<double>(failures);
  const auto passed = static_cast<double>(boards - failures);
  double sum = 0;
  double weights = 0;
  for (int i = 0; i < shares; ++i) {
    const double share = allowed + (1 - allowed) * (i + 0.5) / shares;
    const double weight = std::pow(1 - share, 4);  // most releases that fail too often do not fail always
    const double log = failed * std::log(share / allowed) + passed * std::log((1 - share) / (1 - allowed));
    sum += weight * std::exp(std::min(log, 600.0));
    weights += weight;
  }
  return sum / weights;
}

Interval ratio_interval(std::span<const double> ratios, double alpha) {
  Interval interval;
  if (ratios.empty()) return interval;
  const double line = std::log(2 / alpha);  // either side has half of it
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  const std::vector<Alike> boards = alike(ratios);
  // Evidence falls as more is allowed, and comes to the line at one place between what certainly is spoken against (at a
  // hundredth of the least ratio, and at a hundred times the largest, each board says as much as it can) and what is not.
  const auto bound_of = [&](double from, double to, double sign) -> std::optional<double> {
    const auto above = [&](double at) { return log_evidence_of(boards, at, sign) - line; };
    double low = std::log(std::min(from, to));
    double high = std::log(std::max(from, to));
    const double at_low = above(low);
    const double at_high = above(high);
    const auto& [spoken_against, open] = sign > 0 ? std::pair(at_low, at_high) : std::pair(at_high, at_low);
    if (spoken_against < 0) return std::nullopt;
    if (open >= 0) return to;
    std::uintmax_t looks = most_looks;
    const auto [left, right] = boost::math::tools::toms748_solve(
        above, low, high, at_low, at_high, [](double one, double other) { return std::abs(other - one) < exact_enough; }, looks);
    return std::exp(sign > 0 ? right : left);
  };
  if (const auto low = bound_of(*least / 100, *most, 1)) interval.low = *low;
  if (const auto high = bound_of(*most * 100, *least, -1)) interval.high = *high;
  return interval;
}

Judgement judge(const std::map<std::string, Observed>& classes, const RolloutLimits& limits, bool with_intervals) {
  Judgement judgement;
  judgement.line = 1 / limits.false_stops;
  const double questions = limits.failed_share > 0 ? 2 : 1;
  const double cells = questions * static_cast<double>(classes.size());
  double of_slowness = 0;
  double of_failures = 0;
  std::size_t boards = 0;
  for (const auto& [name, seen] : classes) {
    judgement.classes.push_back(about(name, seen, limits, judgement.line * cells));
    of_slowness += judgement.classes.back().slower;
    if (questions > 1) of_failures += judgement.classes.back().failed;
    boards += std::max(seen.ended, seen.ratios.size());
  }
  if (cells > 0) judgement.evidence = (of_slowness + of_failures) / cells;
  if (with_intervals || judgement.evidence >= judgement.line) {
    for (ClassEvidence& seen : judgement.classes) {
      seen.interval = ratio_interval(classes.at(seen.device_class).ratios, limits.false_stops);
    }
  }
  if (auto slow = far_too_slow_boards_of(classes, limits)) {
    judgement.stop = std::move(slow);
    judgement.stop_is_slowness = true;
    return judgement;
  }
  if (judgement.evidence < judgement.line) return judgement;
  // Named are those that would be rejected by e-BH (Wang and Ramdas 2022): at least the one that carries the mean.
  std::vector<std::pair<double, std::string>> causes;
  for (const ClassEvidence& seen : judgement.classes) {
    if (seen.slower > 1) causes.emplace_back(seen.slower, slower_in_words(seen) + " on " + seen.device_class);
    if (seen.failed > 1) {
      causes.emplace_back(seen.failed, std::to_string(seen.failures) + " of " + counted(seen.ended, "board") + " failed on " + seen.device_class +
                                           (seen.silent > 0 ? " (" + std::to_string(seen.silent) + " silent beyond the deadline)" : ""));
    }
  }
  std::sort(causes.rbegin(), causes.rend());
  std::string text;
  for (std::size_t k = 0; k < causes.size(); ++k) {
    const bool counts = causes[k].first * static_cast<double>(k + 1) >= cells * judgement.line;
    if (k > 0 && !counts) break;
    text += (k == 0 ? "" : "; ") + causes[k].second;
  }
  judgement.stop = "after " + counted(boards, "board") + ": " + text + ", evidence " + rounded(judgement.evidence) + " of " + rounded(judgement.line);
  judgement.stop_is_slowness = of_slowness >= of_failures;
  return judgement;
}

std::string in_words(const Judgement& judgement) {
  std::string text;
  for (const ClassEvidence& seen : judgement.classes) {
    if (seen.boards == 0) continue;
    text += (text.empty() ? "" : "; ") + seen.device_class + ": " + slower_in_words(seen) + " on " + counted(seen.boards, "board");
    if (!seen.too_few) continue;
    text += seen.boards > 1 ? " (" + percent(seen.least) + " to " + percent(seen.most) + ")" : std::string();
    text += ", too few for evidence: budgets and proofs only";
  }
  return text;
}

}  // namespace outcrop::fleet
