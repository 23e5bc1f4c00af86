#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::agent {

// What this board has for a model.
struct BoardLimits {
  ByteCount memory_limit;                      // of a runner, by the configuration
  ByteCount memory_available;                  // of the machine now; 0: unknown
  std::vector<std::string> missing_operators;  // of those that the release names
};

// Memory that the kernel says a new process could have; 0 where it does not say.
[[nodiscard]] ByteCount available_memory();

// Why a variant cannot run beside what does, in an engine that takes so much for itself; empty where it can. `available` 0: unknown.
[[nodiscard]] std::string lack_of_memory(const messages::Variant& variant, ByteCount engine, ByteCount available);

struct Fitting {
  std::vector<std::string> variants;                // to be tried, in the manifest's order
  std::vector<messages::ReportedVariant> left_out;  // the others, each with its reason
  bool short_of_memory = false;  // some of them because of what the machine has now
  ByteCount engine_memory;  // of a runner without a model
};

// Which variants are tried here: those asked for, or all where none is asked for, as far as the
// engine, its operators, the backend with its own self-test, and memory allow.
[[nodiscard]] Fitting fit(const messages::Manifest& manifest, const std::vector<std::string>& asked,
                          const runtime::Hello& engine, const BoardLimits& limits);

}  // namespace outcrop::agent
