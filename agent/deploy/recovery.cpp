#include "agent/deploy/recovery.hpp"

#include <fstream>

namespace outcrop::agent {

Recovery recovery_from(DeploymentState state, bool waits, std::uint64_t crashes,
                       std::uint64_t power_cuts) {
  using Action = Recovery::Action;
  switch (state) {
    case DeploymentState::rejected:
    case DeploymentState::not_measurable:
    case DeploymentState::updated:
    case DeploymentState::failed:
    case DeploymentState::rolled_back:
      return {Action::nothing, {}};
    case DeploymentState::held:
      return {waits ? Action::wait : Action::nothing, {}};
    case DeploymentState::offered:
    case DeploymentState::downloading:
    case DeploymentState::downloaded:
    case DeploymentState::verified:
    case DeploymentState::proving:
    case DeploymentState::measuring:
    case DeploymentState::updating:
    case DeploymentState::soaking:
      break;
  }
  const std::string in = " times in the state " + std::string(messages::to_string(state));
  if (crashes >= most_crashes) {
    return {Action::give_up, "the agent ended unexpectedly " + std::to_string(crashes) + in};
  }
  if (power_cuts >= most_power_cuts) {
    return {Action::give_up, "the board went off " + std::to_string(power_cuts) + in};
  }
  return {Action::resume, {}};
}

std::string this_boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  return boot;
}

}  // namespace outcrop::agent
