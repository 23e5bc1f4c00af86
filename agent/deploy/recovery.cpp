#include "agent/deploy/recovery.hpp"

namespace outcrop::agent {

Recovery recovery_from(DeploymentState state, bool awaits_owner, std::uint64_t crashes) {
  using Action = Recovery::Action;
  switch (state) {
    case DeploymentState::rejected:
    case DeploymentState::not_measurable:
    case DeploymentState::updated:
    case DeploymentState::failed:
    case DeploymentState::rolled_back:
      return {Action::nothing, {}};
    case DeploymentState::held:
      return {awaits_owner ? Action::wait : Action::nothing, {}};
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
  if (crashes < most_crashes) return {Action::resume, {}};
  return {Action::give_up, "the agent ended unexpectedly " + std::to_string(crashes) +
                               " times in the state " + std::string(messages::to_string(state))};
}

}  // namespace outcrop::agent
