#pragma once

#include "protocol/base/error.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::trust {

// Parsers of role documents. For trusted_roles.cpp alone, which calls them on verified bytes; the
// first root is the one exception, since it names the keys that it is verified with.
template <class Role>
[[nodiscard]] Result<Role> parse_role(BytesView bytes);

}  // namespace outcrop::trust
