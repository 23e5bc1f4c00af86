#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What a board claims to have seen beyond what is known here, where it can be believed.
[[nodiscard]] inline bool is_ahead(std::uint64_t said, std::uint64_t known) {
  return said > known && !messages::leaps(said, known);
}

// Newest versions of what this host signed or holds.
struct KnownVersions {
  std::uint64_t root = 0;
  std::uint64_t snapshot = 0;
};
// The snapshot that this board has seen; 0 where it has not followed the newest root yet, under
// which versions may have begun anew.
[[nodiscard]] std::uint64_t comparable_snapshot(const messages::DeviceStatus& status,
                                                std::uint64_t newest_root);

// Puts into `seen`, by model, the version of the list of releases that this board has seen where the list `here` is older:
// boards take none below. `signing`: only boards that sign their status count.
void add_list_seen(const Device& board, bool signing, const std::map<std::string, std::uint64_t>& here,
                   std::map<std::string, std::uint64_t>& seen);

// Whether this state is older than the fleet: a backup that came back, and boards that have seen
// more since. Then nothing is offered until a person says so, for the state would take boards back
// to what it remembers. Kept in the registry: a restart forgets nothing.
class BehindFleet {
 public:
  BehindFleet(Registry& registry, const Clock& clock) : registry_(&registry), clock_(&clock) {}

  // Takes what a board says in its status. `first`: since it was enrolled; one that comes from
  // another fleet has seen more than this one, and proves nothing. Returns whether the state is
  // older by its word.
  [[nodiscard]] Result<bool> look_at(const Device& board, bool first, const KnownVersions& known);

  // What shows it, in words, and what to do; none while all is well.
  [[nodiscard]] Result<std::optional<std::string>> words() const;
  // refused, in those words, while the state is older.
  [[nodiscard]] Status check() const;

  // Goes on: boards keep what they serve, every rollout so far is past, and generations begin above
  // those that were seen. Where every board that showed it is revoked by now, all stays as it was.
  // refused where there is nothing to go on with.
  [[nodiscard]] Status adopt();

 private:
  [[nodiscard]] Result<bool> are_all_revoked(const std::vector<std::string>& boards) const;

  Registry* registry_;
  const Clock* clock_;
};

}  // namespace outcrop::fleet
