#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/deploy/record.hpp"
#include "agent/deploy/transitions.hpp"

namespace outcrop::agent {

// Starts that find a deployment in the same state, after which it is given up.
inline constexpr std::uint64_t most_crashes = 3;

// What to do with a deployment that the agent finds at its start.
struct Recovery {
  enum class Action {
    nothing,  // it has ended
    wait,     // for the owner
    resume,   // by the event `resumed`
    give_up,  // by the event `failed`: the agent ended here too often
  };
  Action action = Action::nothing;
  std::string reason;
};

// `crashes`: how often the agent was killed in this state, this time included.
[[nodiscard]] Recovery recovery_from(DeploymentState state, bool awaits_owner,
                                     std::uint64_t crashes);

}  // namespace outcrop::agent
