#pragma once

#include <functional>
#include <optional>
#include <string>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/view/changes.hpp"

namespace outcrop::fleet {

// Somebody has seen that a release changed the figures of a variant on a class, and says what is thought of it.
struct Acknowledged {
  std::string who;  // "token ops"
  Timestamp when;
  std::string note;
  bool operator==(const Acknowledged&) const = default;
};

// Which change it is, for good: of one pair of releases.
struct ChangeName {
  std::string device_class, variant;
  ReleasePair releases;
};
[[nodiscard]] inline ChangeName name_of(const Change& change) {
  return {change.device_class, change.variant, change.releases};
}

// Kept with the registry, as a note of its own.
[[nodiscard]] Result<std::optional<Acknowledged>> acknowledged(Registry& registry, const ChangeName& change);
[[nodiscard]] Status acknowledge(Registry& registry, const ChangeName& change, const Acknowledged& by);
[[nodiscard]] Status take_back_acknowledgement(Registry& registry, const ChangeName& change);

// For who shows changes; none where nobody acknowledged it, or it cannot be read.
using AcknowledgedOf = std::function<std::optional<Acknowledged>(const Change&)>;
[[nodiscard]] AcknowledgedOf acknowledged_in(Registry& registry);

}  // namespace outcrop::fleet
