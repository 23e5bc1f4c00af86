#pragma once

#include "agent/control/handlers.hpp"

namespace outcrop::agent {

// How a text is asked of what serves, as API.md says: GET /v1/text.
[[nodiscard]] http::Response tell_text_input(const ControlParts& parts);

}  // namespace outcrop::agent
