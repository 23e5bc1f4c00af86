#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What a rollout came into its state by; a closed list, for metrics. The verdict in words: RolloutRecord::reason.
enum class Because {
  started,
  resumed,
  canaries_passed,
  every_board_ended,  // updated, failed as allowed, staying out, or late
  person,
  canary_failed,
  canary_silent,  // longer than patience or its deadline
  no_canary_left,
  too_many_failed,     // more than `failed_share`
  evidence_of_slower,  // or more than twice as slow on boards
  evidence_of_failures,
  release_withdrawn,
  release_revoked,
};
[[nodiscard]] std::string_view to_string(Because reason);  // "canary-failed"

// How often rollouts came into a state, and by what, since the program's start. One thread counts, any reads.
class DecisionCounts {
 public:
  static constexpr std::array<std::pair<RolloutState, Because>, 15> known{{
      {RolloutState::canary, Because::started},
      {RolloutState::canary, Because::resumed},
      {RolloutState::widening, Because::canaries_passed},
      {RolloutState::widening, Because::resumed},
      {RolloutState::paused, Because::person},
      {RolloutState::done, Because::every_board_ended},
      {RolloutState::aborted, Because::person},
      {RolloutState::stopped, Because::canary_failed},
      {RolloutState::stopped, Because::canary_silent},
      {RolloutState::stopped, Because::no_canary_left},
      {RolloutState::stopped, Because::too_many_failed},
      {RolloutState::stopped, Because::evidence_of_slower},
      {RolloutState::stopped, Because::evidence_of_failures},
      {RolloutState::stopped, Because::release_withdrawn},
      {RolloutState::stopped, Because::release_revoked},
  }};

  void add(RolloutState state, Because reason) {
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i] == std::pair(state, reason)) counts_[i].fetch_add(1, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::uint64_t count(std::size_t which) const { return counts_[which].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint64_t>, known.size()> counts_{};
};

}  // namespace outcrop::fleet
