#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "protocol/messages/device_message.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Back from the words of to_string(); none for any other.
[[nodiscard]] std::optional<ReleaseState> release_state_from(std::string_view text);
[[nodiscard]] std::optional<RolloutState> rollout_state_from(std::string_view text);
[[nodiscard]] std::optional<TakeBack> take_back_from(std::string_view text);
[[nodiscard]] std::optional<messages::DeploymentState> deployment_state_from(std::string_view text);

}  // namespace outcrop::fleet
