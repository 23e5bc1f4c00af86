#pragma once

#include <string>

#include "agent/control/socket_option.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::agent {

// `outcrop-agent infer --text`: the class that what serves takes a text for, and how probable it holds that. unsupported
// where it takes no texts; refused where another release took over meanwhile.
[[nodiscard]] Status infer_text(const SocketOption& socket, const std::string& text, bool as_json);

}  // namespace outcrop::agent
