#pragma once

#include <string_view>

#include "protocol/messages/device_message.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {

// Fields that messages about deployments share. For the codecs' .cpp files only.

inline constexpr std::size_t longest_reason = 1024;

[[nodiscard]] int read_protocol(ObjectReader& reader);
[[nodiscard]] Json header_to_json(const DeviceHeader& header, std::string_view type);
[[nodiscard]] DeviceHeader read_header(ObjectReader& reader, std::string_view type);
void add_deployment(Json& json, const DeploymentId& deployment);
[[nodiscard]] DeploymentId read_deployment(ObjectReader& reader);
[[nodiscard]] DeploymentState read_state(ObjectReader& reader);

}  // namespace outcrop::messages
