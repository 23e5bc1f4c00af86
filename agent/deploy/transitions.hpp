#pragma once

#include <optional>
#include <string_view>

#include "protocol/messages/device_message.hpp"

namespace outcrop::agent {

using messages::DeploymentState;

// What can happen to a deployment.
enum class Event {
  refused,        // not for this board, not permitted, or too new for it
  owner_holds,    // the owner wants to be asked
  owner_agrees,   // ... and said yes
  must_wait,      // for what the owner allows updates: hours, bytes, a link
  may_go_on,      // ... and it does
  admitted,       // metadata permits the installation
  was_committed,  // served before and is still here
  pulled,         // every blob is here
  verified,       // ... and is what the manifest says
  proving_starts,
  proved,               // outputs are right
  chosen,               // measured, and one variant is the best within the budget
  nothing_to_choose,    // measured, and the release has no budget for boards of this class
  unmeasurable,         // no valid measurement: what serves stays
  accepted_unmeasured,  // the same, and the offer takes a first install without
  activated,
  soaked,  // served long enough
  failed,
  cancelled,     // by the host, the owner or a newer offer
  serving_lost,  // revoked or damaged while it served
  resumed,       // the agent was started again in the middle
};
[[nodiscard]] std::string_view to_string(Event event);

// One line of the machine: an edge from a state by an event.
struct Edge {
  DeploymentState from;
  Event event;
  DeploymentState to;
};

// None where nobody handles that event in that state: a defect.
[[nodiscard]] std::optional<DeploymentState> next_state(DeploymentState state, Event event);
// What it is in a state that metadata do not permit the release: a refusal before anything was begun, else a failure. Whether
// the roles come before it is looked at or while it waits for them says nothing of the release.
[[nodiscard]] constexpr Event not_permitted_in(DeploymentState state) {
  return state == DeploymentState::offered ? Event::refused : Event::failed;
}

// The state that is written down for one: recovery tells no others apart. Until a trial begins an
// agent that was killed begins at the offer again, and finds what it had pulled.
[[nodiscard]] DeploymentState told_apart(DeploymentState state);

// Nothing more happens by itself. HELD is an end unless the owner is waited for.
[[nodiscard]] bool is_end(DeploymentState state);

}  // namespace outcrop::agent
