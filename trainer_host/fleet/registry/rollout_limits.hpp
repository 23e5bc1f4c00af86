#pragma once

#include <chrono>
#include <cstdint>

namespace outcrop::fleet {

// What a rollout may do to a fleet, and when it is stopped. host.toml says it for all, a command for one.
struct RolloutLimits {
  double failed_share = 0;        // of the boards that get it, once it widens, that may fail; 0: the first one stops it
  double slower_allowed = 0.02;   // by this share p90 may exceed that of what served before
  double false_stops = 0.01;      // the chance that a release that is no worse is stopped (rollout/evidence.hpp)
  std::uint64_t first_ring = 10;  // as many boards are at work on it at once, or as many as have taken it
  std::uint64_t at_once = 0;      // boards at work on it, whatever the ring; 0: as many as the ring gives
  std::uint64_t a_minute = 0;     // boards that are offered it in a minute; 0: as many as there is room for
  std::chrono::seconds deadline{0};  // a board that began and comes to no end for so long has failed; 0: it is waited for
  bool operator==(const RolloutLimits&) const = default;
};

}  // namespace outcrop::fleet
