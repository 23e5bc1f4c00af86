#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/cli/fleet_output.hpp"

namespace outcrop::cli {

// What `outcrop rollout` shows of outcropd's answers; throws as fleet_output.hpp does.

// One line a rollout.
[[nodiscard]] std::string rollout_list(const Json& rollouts, const ReleaseDetails& releases,
                                       const View& view);

// One rollout with its boards, how long each is where it is, and why; `devices` is GET /v1/devices,
// for how far each is, or null.
[[nodiscard]] std::string rollout_page(const Json& rollout, const Json& devices,
                                       const ReleaseDetails& releases, const View& view);

// done, stopped or aborted.
[[nodiscard]] bool has_ended(const Json& rollout);

// What a log says of a rollout: one line for each state of each board and each reason for it, for
// each phase, and for what would help. A line whose key was not in the last list is news.
struct RolloutLine {
  std::string key;   // "pi-1 MEASURING"
  std::string text;  // "pi-1 (canary)  UPDATED: int8-qint8 p90 19 ms"
};
[[nodiscard]] std::vector<RolloutLine> rollout_lines(const Json& rollout);

// For a log in which nothing was said for a while: where boards still are, since when, and why.
// "pi-1 (canary)  still MEASURING int8-qint8 after 4 min: other work keeps the board busy"
[[nodiscard]] std::vector<std::string> still_at_work(const Json& rollout, const Json& devices,
                                                     Timestamp now);

}  // namespace outcrop::cli
