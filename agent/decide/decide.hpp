#pragma once

#include <string>
#include <vector>

#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"

namespace outcrop::agent {

// What measurements on this board say about a release.
struct Decision {
  enum class Verdict {
    activate,      // `variant` is the best within the budget
    fail,          // a proof failed, a runner failed, or nothing keeps the budget
    no_budget,     // measured; the release has no budget for boards of this class
    unmeasurable,  // no valid measurement could be had
  };
  Verdict verdict = Verdict::fail;
  std::string variant;
  std::string reason;
};

// Pure. Every variant that was tried must have been proved: one that fails its proof or whose
// runner fails speaks against the whole release. Of those with a valid measurement that keep the
// budget of `device_class` (p90 of the golden method, peak memory with the engine), the one with
// the least of the manifest's objective is the best, the first of equals. The error objective takes
// each output's mean absolute error in proportion to the largest among those, and the worst output.
// A variant with an operator of our own ("outcrop::linear_int4") counts only where its p90 is 1.2 times below that of
// every measured variant without.
[[nodiscard]] Decision decide(const messages::Manifest& manifest, const std::string& device_class,
                              const std::vector<messages::ReportedVariant>& variants);

// The variant to activate where none could be measured: the first of the manifest that was proved and has
// no operator of our own;
// empty where there is none.
[[nodiscard]] std::string first_proved(const messages::Manifest& manifest,
                                       const std::vector<messages::ReportedVariant>& variants);

}  // namespace outcrop::agent
