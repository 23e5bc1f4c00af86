#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.hpp"

namespace outcrop::fleet {

// When a rollout offers its release to boards: what has begun goes on, and stops, at any time.
struct RolloutSchedule {
  // Of each day, UTC; one that ends before it begins goes over midnight.
  struct Window {
    std::chrono::minutes from{0}, to{0};
    bool operator==(const Window&) const = default;
  };
  std::optional<Timestamp> starts;  // none: at once
  std::vector<Window> windows;      // none: always
  bool operator==(const RolloutSchedule&) const = default;

  [[nodiscard]] bool open(Timestamp now) const;
};

// "22:00-04:00,12:00-13:00", as host.toml, API and command line have it; "" for none. invalid_argument for what is no time
// of a day, and for a window without a minute.
[[nodiscard]] Result<std::vector<RolloutSchedule::Window>> windows_from(std::string_view text);
[[nodiscard]] std::string to_string(const std::vector<RolloutSchedule::Window>& windows);

// "starts at 2026-11-30T22:00:00Z", "goes on between 22:00-04:00 (UTC)": why it offers nothing now.
[[nodiscard]] std::string waits_for(const RolloutSchedule& schedule, Timestamp now);

}  // namespace outcrop::fleet
