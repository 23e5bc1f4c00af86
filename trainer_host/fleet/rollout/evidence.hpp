#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer_host/fleet/registry/rollout_limits.hpp"

namespace outcrop::fleet {

// Whether a release is worse than the one before it, by what boards measured. The board is the unit: each
// measures both in turns and gives one figure, p90 of the new by p90 of the old.
//
// Evidence is an e-value: where a release is not worse than allowed, it ever reaches 1 / α with a chance of at
// most α, at whatever moments it is looked at (Ville's inequality; Ramdas et al. 2023, "Game-theoretic
// statistics and safe anytime-valid inference"). So a rollout is judged after every board, without a plan of how
// many there will be.

// That boards are slower than by the factor `allowed` (1.02: by 2 %), or, `mirrored`, that they are not. Whichever of the two was
// measured first is chance, so where nothing is slower the logarithms scatter symmetrically around at most
// log(allowed). A mixture over λ of Π (1 + tanh(λ (log ratio - log allowed))): each factor has a mean of at most 1, since
// 1 + tanh(λz) = exp(λz) / cosh(λz) and tanh is odd (as Efron 1969 for exp(λz) / cosh(λz)). z beyond ± 0.1 counts as that,
// which is odd as well: a board that says it got a thousand times faster outweighs two others, not two hundred.
class RatioEvidence {
 public:
  explicit RatioEvidence(double allowed, bool mirrored = false);
  void add(double ratio);                 // above 0; the order of boards does not matter
  [[nodiscard]] double value() const;     // 1 before the first
  static constexpr std::array<double, 4> lambdas{10, 20, 40, 80};  // for slow-downs of some 10 % down to 1 %

 private:
  double line_;
  double sign_;
  std::array<double, lambdas.size()> logs_{};
};

[[nodiscard]] double slower_evidence(std::span<const double> ratios, double allowed);
[[nodiscard]] double not_slower_evidence(std::span<const double> ratios, double allowed);

// That more than the share `allowed` of boards fail, 0 < allowed < 1: a mixture over greater shares p of
// (p / allowed)^failures ((1 - p) / (1 - allowed))^(boards - failures).
[[nodiscard]] double failure_evidence(std::size_t failures, std::size_t boards, double allowed);

struct Interval {
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
};
// The factors that the evidence on either side does not speak against, right at every moment with a chance of at least
// 1 - α. Few boards leave it open to one side or both.
[[nodiscard]] Interval ratio_interval(std::span<const double> ratios, double alpha);

// What the boards of a class have shown so far.
struct Observed {
  std::vector<double> ratios;  // of boards that measured both: of p90
  // ... the lesser of p90's and p50's: of few calls, one that was disturbed is enough to move p90 threefold, but not both.
  std::vector<double> throughout;
  std::size_t ended = 0;       // boards that took it or failed, or were silent beyond the deadline, which is failure
  std::size_t failures = 0;
  std::size_t silent = 0;      // of these
  std::size_t all = 0;  // boards that the class has
};

struct ClassEvidence {
  std::string device_class;
  std::size_t boards = 0;     // that measured both releases
  double ratio = 1;           // their median; 1 where there is none
  double least = 1, most = 1; // of all boards
  Interval interval;          // where it was asked for
  double slower = 1;          // evidence
  double not_slower = 1;
  std::size_t ended = 0;
  std::size_t failures = 0;
  std::size_t silent = 0;     // of these
  double failed = 1;          // evidence
  bool too_few = false;       // even if all its boards were slower, evidence could not reach the line
};

struct Judgement {
  std::vector<ClassEvidence> classes;  // by name
  double line = 100;                   // 1 / α, α: RolloutLimits::false_stops
  // The mean over classes and both questions: an e-value again, however they depend on each other.
  double evidence = 1;
  // Why the release is to be stopped, with class, figures and evidence.
  std::optional<std::string> stop;
  bool stop_is_slowness = false;
};

// Stops where the mean evidence reaches the line, and names the classes that made it do so; and, outside of α, at
// once where boards of a class take more than twice as long as allowed, in p90 and p50: two of them, or every one that
// measured.
// Of failures none is asked where the first one stops the rollout anyway. Intervals take a hundred times as long as all else, and are found where they will be shown: in a stop, or
// `with_intervals`.
[[nodiscard]] Judgement judge(const std::map<std::string, Observed>& classes, const RolloutLimits& limits,
                              bool with_intervals = false);

// For a verdict: "raspberry-pi-4: p90 +1.2 % [-0.3, 2.6] on 24 boards", and for few boards what each measured, since they
// are no evidence. Empty where no board measured both.
[[nodiscard]] std::string in_words(const Judgement& judgement);

}  // namespace outcrop::fleet
