#include "trainer_host/fleet/registry/aim.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace outcrop::fleet {
namespace {

constexpr std::array<std::string_view, 5> words{"p90_ms", "p50_ms", "memory_mb", "size", "error"};

}  // namespace

std::string_view to_string(Aim aim) {
  return words[static_cast<std::size_t>(aim)];
}

Result<Aim> aim_from(std::string_view text) {
  if (text == "memory") return Aim::memory_mb;
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) return static_cast<Aim>(found - words.begin());
  return fail(ErrorCode::invalid_argument,
              "'" + std::string(text) + "' is no objective: one of p90_ms, p50_ms, memory_mb, size, error is");
}

Aim aim_of(messages::Objective objective) {
  switch (objective) {
    case messages::Objective::p50_ms:
      return Aim::p50_ms;
    case messages::Objective::memory_mb:
      return Aim::memory_mb;
    case messages::Objective::error:
      return Aim::error;
    case messages::Objective::p90_ms:
      break;
  }
  return Aim::p90_ms;
}

}  // namespace outcrop::fleet
