#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/metadata/role_set.hpp"

namespace outcrop::fleet {

// When what boards install by expires. They say so by refusing; a host knows it before.

struct Expiry {
  std::string role;
  Timestamp when;
};

// So long before it somebody is to be told.
inline constexpr std::chrono::days expiry_warning{30};

// The role that a person signs which expires first. (The host renews snapshot and timestamp.)
[[nodiscard]] Expiry nearest_expiry(const RoleSet& roles);

// What to do, in words, where that is within expiry_warning of `now`, or past; none otherwise.
[[nodiscard]] std::optional<std::string> expiry_words(const RoleSet& roles, Timestamp now);

// expired, with what to do, where boards would refuse a release of this model by now.
[[nodiscard]] Status check_fresh(const RoleSet& roles, const std::string& model, Timestamp now);

}  // namespace outcrop::fleet
