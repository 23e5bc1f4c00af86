#pragma once

#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::trust {

// Standard base64 with padding (RFC 4648, section 4).
[[nodiscard]] std::string to_base64(BytesView bytes);

// Accepts exactly what to_base64 writes: no white space, no missing padding, no stray bits in the
// last digit. A signed document then has one spelling.
[[nodiscard]] Result<Bytes> from_base64(std::string_view text);

}  // namespace outcrop::trust
