#pragma once

#include <string_view>

namespace outcrop {

// The version of this code, "0.1.0".
[[nodiscard]] std::string_view version();

// What host and board speak. A board refuses a manifest that asks for a higher one.
inline constexpr int protocol_version = 1;

}  // namespace outcrop
