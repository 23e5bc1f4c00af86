#pragma once

#include <string>

#include "agent/deploy/deployer.hpp"
#include "agent/deploy/ledger.hpp"
#include "agent/deploy/transitions.hpp"

namespace outcrop::agent {

// The record, and every change of it: looked up in the table, persisted, announced. Knows nothing
// of how a state does its work.
class Machine {
 public:
  explicit Machine(const DeployParts& parts) : parts_(parts) {}

  // Takes up what the ledger found.
  void open();

  // What is wrong with what was written down.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }

  [[nodiscard]] Record& record() { return record_; }
  [[nodiscard]] const Record& record() const { return record_; }
  [[nodiscard]] bool has_deployment() const { return record_.deployment.has_value(); }
  [[nodiscard]] Deployment& deployment() { return *record_.deployment; }

  // There is something to do now.
  [[nodiscard]] bool at_work() const;
  // ... or there will be, once the owner, or what the owner allows, agrees.
  [[nodiscard]] bool unfinished() const;
  // Held until the owner agrees, or until what the owner allows updates does.
  [[nodiscard]] bool waits_for_owner() const;
  [[nodiscard]] bool waits_for_limits() const;

  // A new command: persisted as OFFERED, announced; FAILED where it cannot be written down.
  void begin(Deployment deployment);
  // Follows the edge: undoes an activation that is not committed where it leads to an end that is
  // none of success, persists what recovery tells apart, an end together with its report, and
  // announces. What cannot be persisted is FAILED, unless it is an end. An event that nobody handles
  // names the state and ends the process.
  void advance(Event event, std::string reason = {});
  // Ends what is at work because something else begins or somebody said so.
  void abandon(std::string reason);

  // Persists without a change of state, as far as a disk that is not full takes it.
  bool save();  // whether it could be
  // The agent ends in order.
  void stop();
  // The disk knows less than this does: nothing that it names may be removed.
  [[nodiscard]] bool unwritten() const { return unwritten_; }
  // What lies here of releases that neither serve nor served before is not needed any more.
  void clear_up();
  void announce(const std::string& variant = {});

 private:
  [[nodiscard]] std::string not_written() const;
  bool write(Ledger::Space space);
  void reached(const char* what) const;
  void enter(DeploymentState state, const std::string& reason);
  void undo();
  // For `systemctl status`.
  [[nodiscard]] std::string summary() const;

  const DeployParts& parts_;
  Record record_;
  std::optional<std::string> trouble_;
  bool unwritten_ = false;  // the record here is newer than its file
};

}  // namespace outcrop::agent
