#pragma once

#include <chrono>
#include <optional>

#include "agent/control/handlers.hpp"

namespace outcrop::agent {

// What an owner brings of a release, as API.md says: metadata, then blobs by pieces, which lie here as transfers do. Nothing of it is
// believed: the deployment verifies it as what a broker brings. None where the request is about something else.
[[nodiscard]] std::optional<http::Response> take_brought(const ControlParts& parts, const http::Request& request);

// Of the body of the call that starts it.
struct InstallWish {
  trust::Sha256Digest manifest;
  std::chrono::seconds soak{60};
};
[[nodiscard]] Result<InstallWish> read_install_wish(const std::string& body);

}  // namespace outcrop::agent
