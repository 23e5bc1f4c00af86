#pragma once

#include <string>

#include "protocol/messages/command.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/messages/report.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What a board says about a deployment: in its status, in progress or in a report.
struct Statement {
  messages::DeploymentId deployment;
  messages::DeploymentState state = messages::DeploymentState::offered;
  std::string reason;
  messages::MessageId message{1, 0};
  bool is_signed = false;  // a report; else a status or progress, which anybody may have written
  bool measured = false;              // ... with figures
  std::optional<messages::Slowdown> slowdown = {};  // ... beside those of what served
};

// Nothing follows in this generation but its being taken back.
[[nodiscard]] bool is_final(messages::DeploymentState state);
// FAILED, REJECTED, ROLLED_BACK: the board does not serve what it was offered.
[[nodiscard]] bool has_failed(messages::DeploymentState state);

// The board is at work on it: neither an end nor a wait for its owner or for rest.
[[nodiscard]] bool is_under_way(messages::DeploymentState state);

// Takes a statement into the assignment that it is about; false where it changes nothing: it is of
// another generation, older than what was said before, or would take back what is final. What is not
// signed only shows what is under way: ends, and since when a state lasts, are told by reports.
[[nodiscard]] bool observe(Assignment& assignment, const Statement& statement, Timestamp now);

}  // namespace outcrop::fleet
