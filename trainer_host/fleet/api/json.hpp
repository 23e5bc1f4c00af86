#pragma once

#include <nlohmann/json.hpp>

#include "platform/http/server.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Records as the API shows them. Absent values are null.

using Json = nlohmann::json;

[[nodiscard]] Json time_or_null(const std::optional<Timestamp>& time);
[[nodiscard]] Json to_json(const Device& device);
// With how good its model is; that this cannot be read now is no reason to hide the release.
[[nodiscard]] Json to_json(const ReleaseRecord& release,
                           const Result<std::optional<messages::Quality>>& quality);
[[nodiscard]] Json to_json(const RolloutRecord& rollout);
[[nodiscard]] Json state_or_null(const Assignment& assignment);

[[nodiscard]] http::Response respond(const Json& json, int status = 200);

}  // namespace outcrop::fleet
