#pragma once

#include "agent/config/config.hpp"
#include "agent/doctor/finding.hpp"

namespace outcrop::agent {

struct RunnerFindings {
  bool runs = false;
  Findings findings;
};

// Starts the configured runner as the agent does and reads what it says of itself: how it is
// confined, its engine, and for each set of kernels the operators that failed its own test. A
// runner that cannot be started, dies or talks nonsense is one finding. Takes up to the runner's 30
// s.
[[nodiscard]] RunnerFindings check_runner(const AgentConfig& config);

}  // namespace outcrop::agent
