#pragma once

#include "agent/control/socket_option.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::agent {

// What an agent that runs answers. Where none does, the error says why, as far as this user may see it.
[[nodiscard]] Result<http::Answer> ask_agent(const SocketOption& option, const http::Call& call);

}  // namespace outcrop::agent
