#pragma once

#include <optional>
#include <string_view>

#include "agent/slots/slots.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {

// What is installed, as the agent's files hold it: null where nothing is.
[[nodiscard]] messages::Json to_json(const std::optional<Installed>& installed);
[[nodiscard]] std::optional<Installed> read_installed(messages::ObjectReader& reader,
                                                      std::string_view key);

}  // namespace outcrop::agent
