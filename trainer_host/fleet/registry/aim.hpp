#pragma once

#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::fleet {

// By what one variant or release is better than another: the one with less of it is. A release has one of its own
// (messages::Objective, by which boards choose), a rollout may have another for what it offers to a class.
enum class Aim { p90_ms, p50_ms, memory_mb, size, error };

[[nodiscard]] std::string_view to_string(Aim aim);
// invalid_argument, with all there are, for a word that is none; "memory" is memory_mb.
[[nodiscard]] Result<Aim> aim_from(std::string_view text);
[[nodiscard]] Aim aim_of(messages::Objective objective);

}  // namespace outcrop::fleet
