#pragma once

#include "protocol/base/error.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::trust {

// Parsers of role documents. For trusted_roles.cpp, which calls them on verified bytes; the
// exceptions are the first root, which names the keys that it is verified with, and what a key folder
// signed itself (release/delegate.cpp).
template <class Role>
[[nodiscard]] Result<Role> parse_role(BytesView bytes);

}  // namespace outcrop::trust
