#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/deploy/record.hpp"
#include "agent/deploy/transitions.hpp"

namespace outcrop::agent {

// Starts that find a deployment in the same state, after which it is given up: where the agent alone
// had ended, and where the whole board had been off. Power fails often and says nothing against a
// release, unless the release takes the board down with it each time.
inline constexpr std::uint64_t most_crashes = 3;
inline constexpr std::uint64_t most_power_cuts = 20;

// What to do with a deployment that the agent finds at its start.
struct Recovery {
  enum class Action {
    nothing,  // it has ended
    wait,     // for the owner, or for what the owner allows
    resume,   // by the event `resumed`
    give_up,  // by the event `failed`: the agent ended here too often
  };
  Action action = Action::nothing;
  std::string reason;
};

// `crashes`, `power_cuts`: how often the agent ended in this state since it got any further, this
// time included.
[[nodiscard]] Recovery recovery_from(DeploymentState state, bool waits,
                                     std::uint64_t crashes, std::uint64_t power_cuts);

// Of the machine, another one after each start of it; empty where the kernel does not say.
[[nodiscard]] std::string this_boot();

}  // namespace outcrop::agent
