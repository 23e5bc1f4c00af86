#include "trainer_host/fleet/registry/names.hpp"

namespace outcrop::fleet {
namespace {

template <class State>
std::optional<State> find(std::string_view text, State last) {
  using messages::to_string;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto state = static_cast<State>(i);
    if (to_string(state) == text) return state;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(ReleaseState state) {
  switch (state) {
    case ReleaseState::published:
      return "published";
    case ReleaseState::withdrawn:
      return "withdrawn";
    case ReleaseState::revoked:
      return "revoked";
  }
  return "";
}

std::string_view to_string(RolloutState state) {
  switch (state) {
    case RolloutState::canary:
      return "canary";
    case RolloutState::widening:
      return "widening";
    case RolloutState::paused:
      return "paused";
    case RolloutState::done:
      return "done";
    case RolloutState::stopped:
      return "stopped";
    case RolloutState::aborted:
      return "aborted";
  }
  return "";
}

std::string_view to_string(TakeBack which) {
  switch (which) {
    case TakeBack::nothing:
      return "nothing";
    case TakeBack::all:
      return "all";
    case TakeBack::unfinished:
      return "unfinished";
  }
  return "";
}

std::optional<ReleaseState> release_state_from(std::string_view text) {
  return find(text, ReleaseState::revoked);
}

std::optional<RolloutState> rollout_state_from(std::string_view text) {
  return find(text, RolloutState::aborted);
}

std::optional<TakeBack> take_back_from(std::string_view text) {
  return find(text, TakeBack::unfinished);
}

std::optional<messages::DeploymentState> deployment_state_from(std::string_view text) {
  return find(text, messages::DeploymentState::rolled_back);
}

}  // namespace outcrop::fleet
