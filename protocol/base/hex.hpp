#pragma once

#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop {

// Lower-case hexadecimal, two digits a byte.
[[nodiscard]] std::string to_hex(BytesView bytes);

// Accepts lower case only, so that every digest has one spelling.
[[nodiscard]] Result<Bytes> from_hex(std::string_view text);

}  // namespace outcrop
