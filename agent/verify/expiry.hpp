#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/verify/trusted_state.hpp"
#include "protocol/base/clock.hpp"

namespace outcrop::agent {

// So long before something ends it is told.
inline constexpr std::chrono::days expiry_notice{30};

// Something without which this board takes no updates, and its last second.
struct Expiry {
  std::string what;  // "root", "stage-curvefault", "the board's certificate"
  Timestamp when;
  // Of a role that the host signs anew by itself, hours before: worth a word only once it is over.
  bool renewed_by_host = false;
};

// How to let boards believe in an earlier time again.
inline constexpr const char* remedy_for_a_floor_ahead =
    "on the host, once its clock is right: outcrop keys rotate snapshot timestamp, then outcrop keys "
    "publish";

// The lowest time that is believed, where what the host signed since is older by more than a day:
// its clock was ahead once.
[[nodiscard]] std::optional<Timestamp> floor_ahead(const TrustedState& state);

// Of the roles that are believed; the first to end comes first.
[[nodiscard]] std::vector<Expiry> expiries(const TrustedState& state);

}  // namespace outcrop::agent
