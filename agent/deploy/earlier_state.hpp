#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/deploy/ledger.hpp"

namespace outcrop::agent {

// What agents up to 0.1 wrote into files apart from each other, so that a kill between them left
// them in disagreement: deployment.json, releases/slots.json (both kept twice), releases/kept.json.
struct EarlierState {
  Decided decided;
  std::optional<std::string> trouble;
};

// None where none of the files is there.
[[nodiscard]] std::optional<EarlierState> read_earlier_state(const std::filesystem::path& state);

// With spares. Only once all of it is written down elsewhere.
void remove_earlier_state(const std::filesystem::path& state);

}  // namespace outcrop::agent
