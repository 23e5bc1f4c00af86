#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"
#include "trainer_host/fleet/registry/aim.hpp"

namespace outcrop::fleet {

// The variant that the boards of one class get after the canaries.
struct ClassChoice {
  std::optional<std::string> variant;
  std::string reason;  // why this one, and with which it could not be compared; or why none
};

// By what canaries of that class measured: `reports` are theirs about this release, newest first.
// A variant counts where no canary saw it fail and every canary that measured it found it within
// the class's budget (p90 in ms; memory of the whole runner in 10^6 bytes; both inclusive). Among
// those the least by `aim` wins, which is the manifest's objective where there is none. They are compared in pairs, within each board that measured both: the
// board is the unit, and the median over boards decides. Where no board measured both, the earlier in the manifest stays,
// and the reason says so. "error" is the worst output's mean error in relation to the larger of the two.
// Where no canary could measure and the rollout activates without (`unmeasured_too`), it is what
// the newest of them serves.
[[nodiscard]] ClassChoice choose_variant(const messages::Manifest& manifest,
                                         const std::string& device_class,
                                         const std::vector<messages::Report>& reports,
                                         bool unmeasured_too = false, std::optional<Aim> aim = {});

}  // namespace outcrop::fleet
