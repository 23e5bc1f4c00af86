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

[[nodiscard]] messages::Json to_json(const SlotTable& table);
[[nodiscard]] SlotTable read_slot_table(messages::ObjectReader reader);
// The array `key` of releases that are kept; up to 0.1 it did not say which are good. A clock may have been ahead when it was written.
[[nodiscard]] std::vector<KeptRelease> read_kept(messages::ObjectReader& reader,
                                                 std::string_view key, bool says_good);

}  // namespace outcrop::agent
