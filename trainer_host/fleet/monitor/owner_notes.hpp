#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "trainer_host/fleet/ingest/allowance.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"

namespace outcrop::fleet::monitor {

// Notes in the audit log that a board's owner holds updates back, or does so no more. That is the board's word, and the log is
// kept for ever and told to webhooks: who changes it all the time is noted at a rate, and the next entry says how many were not.
class OwnerNotes {
 public:
  explicit OwnerNotes(RegistryAuditLog& log) : log_(&log) {}

  [[nodiscard]] Status on_held(const std::string& device, bool held, Allowance::Time now);

 private:
  struct Board {
    Allowance allowance{8, 1.0 / 3600};
    std::uint64_t not_noted = 0;
  };

  RegistryAuditLog* log_;
  std::map<std::string, Board> boards_;
};

}  // namespace outcrop::fleet::monitor
