#pragma once

#include <string_view>

namespace outcrop::messages {

// Names of models, variants, rollouts, devices and device classes: [a-z0-9-]{1,63}.
[[nodiscard]] bool is_name(std::string_view text);

}  // namespace outcrop::messages
