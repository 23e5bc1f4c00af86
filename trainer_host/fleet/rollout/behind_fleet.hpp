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

// What one board may say and be believed for by others: the rest of what it says is held against itself alone.
inline constexpr std::uint64_t word_of_one_board = 1'000'000;

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
// more since. To a board that says so nothing is offered, for the state would take it back to what it remembers. The word
// of one is no proof, as nobody but it has signed it: the others go on until as many say so as are neither few nor one
// (boards_to_believe). Then nothing is offered to anybody until a person says so. Kept in the registry: a restart forgets
// nothing.
class BehindFleet {
 public:
  BehindFleet(Registry& registry, const Clock& clock) : registry_(&registry), clock_(&clock) {}

  // Takes what a board says in its status. `first`: since it was enrolled; one that comes from
  // another fleet has seen more than this one, and proves nothing. Returns whether the state is
  // older by its word, from which on it is held.
  [[nodiscard]] Result<bool> look_at(const Device& board, bool first, const KnownVersions& known);

  // Whether nothing is offered to this board, by its own word.
  [[nodiscard]] Result<bool> holds(const std::string& board) const;

  // What shows that the state is older, in words, and what to do; none while all is well, or too few say so.
  [[nodiscard]] Result<std::optional<std::string>> words() const;
  // The boards that say so while they are too few, and what to do; none where there are none.
  [[nodiscard]] Result<std::optional<std::string>> words_of_few() const;
  // refused, in those words, while the state is older.
  [[nodiscard]] Status check() const;

  // Goes on: boards keep what they serve, every rollout so far is past, and generations begin above
  // those that were seen. Where every board that showed it is revoked by now, all stays as it was.
  // refused where there is nothing to go on with.
  [[nodiscard]] Status adopt();

 private:
  struct Note {
    std::string shown;                // by the first
    std::vector<std::string> boards;  // that showed it
    std::uint64_t generation = 0;     // the highest that any said
    bool operator==(const Note&) const = default;
  };
  [[nodiscard]] Result<std::optional<Note>> read() const;
  [[nodiscard]] Status write(const Note& note);
  [[nodiscard]] Status remove();
  // Those that still count.
  [[nodiscard]] Result<std::vector<std::string>> unrevoked(const Note& note) const;

  Registry* registry_;
  const Clock* clock_;
  mutable std::optional<std::optional<Note>> known_;  // as in the registry, once it was read
};

// Of so many that are enrolled: a tenth, two at least and sixteen at most, and of a single board that one.
[[nodiscard]] std::size_t boards_to_believe(std::size_t enrolled);

}  // namespace outcrop::fleet
