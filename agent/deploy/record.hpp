#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/slots/slots.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/json_reader.hpp"
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
  bool awaits_limits = false;       // HELD until what the owner allows updates lets it go on
  bool approved = false;            // the owner did
  ByteCount budget_left;            // of offer.byte_budget
  std::string variant;              // the one that was chosen, once one was
  std::optional<Installed> before;  // what served when the chosen one was activated
  // Starts of the agent that found the deployment in a state without a clean stop: those after which
  // the board had not been started anew, and those after which it had.
  using Counts = std::map<std::string, std::uint64_t>;
  Counts crashes;
  Counts power_cuts;
  std::chrono::milliseconds soaked{0};  // of offer.soak, over all starts
  std::vector<messages::ReportedVariant> variants;  // what was measured
  std::optional<messages::ReportedIncumbent> incumbent;  // ... beside them

  [[nodiscard]] messages::DeploymentId id() const;
  // HELD, and no end.
  [[nodiscard]] bool waits() const { return awaits_owner || awaits_limits; }
  // The release that this deployment activates, once a variant was chosen.
  [[nodiscard]] Installed target() const;
  // It goes back to a release that was committed before: nothing is transferred or measured.
  [[nodiscard]] bool returns() const { return variants.empty(); }
};

// What a board knows of its latest deployment and of its owner's wishes.
struct Record {
  std::uint64_t generation = 0;  // highest seen
  bool held = false;             // the owner holds updates back
  std::string held_by;           // "uid 1000"
  bool stopped = false;          // the agent ended in order: the next start is no crash
  std::string boot;              // of the machine, when this was written
  std::optional<Deployment> deployment;
};

[[nodiscard]] messages::Json to_json(const Record& record);
// Reads all but `done`. Of an agent before the ledger: its files know no boots, and count by state.
enum class WrittenBy { this_agent, earlier_agent };
[[nodiscard]] Result<Record> read_record(messages::ObjectReader& reader,
                                         WrittenBy by = WrittenBy::this_agent);

// Of a document that means nothing else; 0 where it does not tell.
[[nodiscard]] std::uint64_t generation_in(const messages::Json& document);

}  // namespace outcrop::agent
