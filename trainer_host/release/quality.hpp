#pragma once

#include "protocol/base/error.hpp"
#include "protocol/messages/artifact.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// Whether the float model itself, which every variant is compared with, is worth a release: its
// reconstructions beat the mean of the training data by Policy::minimum_quality, and what it draws
// from noise spreads no further than Policy::most_spread allows. An error below an output's floor
// always passes: nothing can beat a mean that is exact. `refused` names the model, the output and
// both figures; also where artifact.json tells no quality (versions before protocol 3).
[[nodiscard]] Status check_quality(const Policy& policy, const messages::StageArtifact& artifact);

}  // namespace outcrop::release
