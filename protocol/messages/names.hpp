#pragma once

#include <string_view>

namespace outcrop::messages {

// Names of models, variants, rollouts, devices and device classes: [a-z0-9-]{1,63}.
[[nodiscard]] bool is_name(std::string_view text);

// The rollout of what a board's owner installed from a folder: no rollout of a host is called so.
inline constexpr std::string_view by_hand = "by-hand";

}  // namespace outcrop::messages
