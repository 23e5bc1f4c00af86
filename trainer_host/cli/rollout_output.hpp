#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// What `outcrop rollout` shows of outcropd's answers; throws as fleet_output.hpp does.

// One line a rollout.
[[nodiscard]] std::string rollout_list(const Json& rollouts, Timestamp now);

// One rollout with its boards; `devices` is GET /v1/devices, for how far each is, or null.
[[nodiscard]] std::string rollout_page(const Json& rollout, const Json& devices, Timestamp now);

// done, stopped or aborted.
[[nodiscard]] bool has_ended(const Json& rollout);

// Where each board stands, as lines of a log: "board-1 (canary)  MEASURING int8-qint8". A line of
// this list that was not in the last one is news.
[[nodiscard]] std::vector<std::string> rollout_lines(const Json& rollout, const Json& devices);

}  // namespace outcrop::cli
