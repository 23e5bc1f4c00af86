#pragma once

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// What a rollout, or a comparison, may be by (API.md); "memory" is an old word for memory_mb.
inline CLI::IsMember one_of_objectives() {
  return CLI::IsMember({"p90_ms", "p50_ms", "memory_mb", "memory", "size", "error"});
}

}  // namespace outcrop::cli
