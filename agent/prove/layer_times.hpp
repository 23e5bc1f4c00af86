#pragma once

#include <vector>

#include "agent/prove/trial.hpp"
#include "protocol/messages/layers.hpp"

namespace outcrop::agent {

// Times the operators of the first golden call, of each variant of the release whose file lies here (request.variants is
// not asked), one after the other, each in a runner of its own, proved before: blocking. What was void in every attempt, or cannot be
// had, has its reason. Errors: of goldens and of the lock.
[[nodiscard]] Result<std::vector<messages::VariantLayers>> time_layers(const TrialRequest& request);

}  // namespace outcrop::agent
