#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/agent/faults/fault_disk.hpp"

namespace outcrop {

// One life of a board: the agent's own code over a network in memory, and a host beside it that
// remembers in a file. All of it lies in one folder:
//   state/           the board's
//   host/metadata/   what the host publishes
//   host/blobs/      its depot
//   host/offer-N     its offers, by generation
//   host/history     what the board said, a line each: "status 2 SOAKING 1234abcd", "report ..."
//   hit              what the fault befell
struct Life {
  std::filesystem::path folder;
  std::filesystem::path runner;
  std::uint64_t wanted = 1;  // the generation whose end the host waits for
  std::string boot;
  DiskFault disk;
  // "kill", "hang" or "error" where the deployment comes to `point` ("SOAKING ends").
  std::string at_point;
  std::string point;
  std::string counted_in;  // writes the number of calls that the disk's fault could have befallen
};

// Returns the exit status: 0 where the end was reported, 1 where the agent did not start, 3 where
// nothing came. Never returns where the fault kills.
[[nodiscard]] int live(const Life& life);

// What the host has heard.
struct Heard {
  std::string kind;  // "status" or "report"
  std::uint64_t generation = 0;
  std::string state;
  std::string active;  // the manifest's digest, or "-"
};
[[nodiscard]] std::vector<Heard> history(const std::filesystem::path& folder);
[[nodiscard]] bool is_end(const std::string& state);

}  // namespace outcrop
