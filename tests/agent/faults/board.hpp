#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/agent/faults/fault_disk.hpp"
#include "tests/agent/forge.hpp"

namespace outcrop {

// One life of a board: the agent's own code over a network in memory, and a host beside it that
// remembers in a file. All of it lies in one folder:
//   state/           the board's
//   host/metadata/   what the host publishes
//   host/blobs/      its depot
//   host/offer-N     its offers, by generation
//   host/authority   who vouches for the broker at the place that the board may be told of
//   host/history     what the board said, a line each: "status 2 SOAKING 1234abcd", "report ..."
//   hit              what the fault befell
struct Life {
  // Whether the host says, before it offers anything, that the broker is elsewhere, and whether there is one there.
  enum class Move { none, followed, to_nowhere };

  std::filesystem::path folder;
  std::filesystem::path runner;
  const Forge* forge = nullptr;  // whose keys the host has; outlives this
  Move move = Move::none;
  std::uint64_t wanted = 1;  // the generation whose end the host waits for, after the move
  std::string boot;
  std::chrono::seconds patience{15};  // for that end
  DiskFault disk;
  // "kill", "hang" or "error" where the deployment comes to `point` ("SOAKING ends").
  std::string at_point;
  std::string point;
};

// How it ends, by its exit status, unless the fault kills it: 0 where the host heard what it waits for.
inline constexpr int ended_badly = 1;        // the agent did not start
inline constexpr int heard_nothing = 3;
inline constexpr int is_to_begin_again = 4;  // the agent asked for it
[[nodiscard]] int live(const Life& life);
// Where it writes how many calls the disk's fault could have befallen, unless that killed it.
[[nodiscard]] inline std::filesystem::path calls_of(const std::filesystem::path& folder) { return folder / "calls"; }

// What the host has heard; and where the board went: "place N - AUTHORITY", the latter "right" where it belongs to the place.
struct Heard {
  enum Place : std::uint64_t { enrolled = 1, told = 2 };  // the generation of a place
  std::string kind;  // "status", "report" or "place"
  std::uint64_t generation = 0;
  std::string state;
  std::string active;  // the manifest's digest, or "-"
};
[[nodiscard]] std::vector<Heard> history(const std::filesystem::path& folder);
[[nodiscard]] bool is_end(const std::string& state);

}  // namespace outcrop
