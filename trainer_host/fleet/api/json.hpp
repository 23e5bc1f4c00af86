#pragma once

#include <nlohmann/json.hpp>

#include "platform/http/server.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/evidence.hpp"

namespace outcrop::fleet {

// Records as the API shows them. Absent values are null.

using Json = nlohmann::json;

[[nodiscard]] Json number_or_null(const std::optional<double>& number);
[[nodiscard]] Json time_or_null(const std::optional<Timestamp>& time);
[[nodiscard]] Json to_json(const Device& device);
[[nodiscard]] Json to_json(const ReleaseRecord& release);
[[nodiscard]] Json to_json(const RolloutRecord& rollout);
// What boards have shown, as of GET /v1/rollouts/NAME; a bound that is open is null.
[[nodiscard]] Json to_json(const Judgement& judgement);
[[nodiscard]] Json state_or_null(const Assignment& assignment);

[[nodiscard]] http::Response respond(const Json& json, int status = 200);

}  // namespace outcrop::fleet
