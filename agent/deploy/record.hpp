#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/slots/slots.hpp"
#include "agent/state/kept_twice.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/report.hpp"

namespace outcrop::agent {

// A deployment and where it stands. What must survive a kill, and nothing else.
struct Deployment {
  // What is to be installed. Where `cancel` is set: its rollout, generation and manifest.
  messages::Offer offer;
  std::optional<messages::Cancel> cancel;

  messages::DeploymentState state = messages::DeploymentState::offered;
  std::string reason;
  bool awaits_owner = false;        // HELD until the owner lets it go on; else HELD is an end
  bool approved = false;            // the owner did
  ByteCount budget_left;            // of offer.byte_budget
  std::string variant;              // the one that was chosen, once one was
  std::optional<Installed> before;  // what served when the chosen one was activated
  // Starts of the agent that found the deployment in this state without a clean stop.
  std::map<std::string, std::uint64_t> crashes;
  std::vector<messages::ReportedVariant> variants;  // what was measured
  std::optional<messages::ReportedIncumbent> incumbent;  // ... beside them

  [[nodiscard]] messages::DeploymentId id() const;
  // The release that this deployment activates, once a variant was chosen.
  [[nodiscard]] Installed target() const;
  // It goes back to a release that was committed before: nothing is transferred or measured.
  [[nodiscard]] bool returns() const { return variants.empty(); }
};

// <state>/deployment.json: replaced before each step is acted on, kept twice.
struct Record {
  std::uint64_t generation = 0;  // highest seen
  bool held = false;             // the owner holds updates back
  std::string held_by;           // "uid 1000"
  bool stopped = false;          // the agent ended in order: the next start is no crash
  std::optional<Deployment> deployment;
};

[[nodiscard]] std::string to_json(const Record& record);
[[nodiscard]] Result<Record> parse_record(std::string_view text);

// A missing file is an empty record. invalid_data or unsupported (of a newer version) where nothing
// is known of the deployment, by the file or its spare; `generation` is then still filled in where
// it can be read, so that old offers stay old.
struct ReadRecord {
  Record record;
  Status status;
  KeptTwice::Reading reading;
};
[[nodiscard]] ReadRecord read_record(const std::filesystem::path& file);
[[nodiscard]] Status write_record(const std::filesystem::path& file, const Record& record);

}  // namespace outcrop::agent
