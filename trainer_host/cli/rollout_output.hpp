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

// What a log says of a rollout: one line for each state of each board, for each phase, and for what
// would help. A line whose key was not in the last list is news.
struct RolloutLine {
  std::string key;   // "pi-1 MEASURING"
  std::string text;  // "pi-1 (canary)  UPDATED: int8-qint8 p90 19 ms"
};
[[nodiscard]] std::vector<RolloutLine> rollout_lines(const Json& rollout);

}  // namespace outcrop::cli
