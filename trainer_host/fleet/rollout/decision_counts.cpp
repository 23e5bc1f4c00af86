#include "trainer_host/fleet/rollout/decision_counts.hpp"

namespace outcrop::fleet {

std::string_view to_string(Because reason) {
  static constexpr std::array<std::string_view, 13> words{
      "started",        "resumed",        "canaries-passed", "every-board-ended",  "person",
      "canary-failed",  "canary-silent",  "no-canary-left",  "too-many-failed",    "evidence-of-slower",
      "evidence-of-failures", "release-withdrawn", "release-revoked"};
  return words[static_cast<std::size_t>(reason)];
}

}  // namespace outcrop::fleet
