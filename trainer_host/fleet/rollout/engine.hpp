#pragma once

#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/choose.hpp"
#include "trainer_host/fleet/rollout/decision_counts.hpp"
#include "trainer_host/fleet/rollout/evidence.hpp"

namespace outcrop::fleet {

// The rollout engine's decisions: pure functions of what the registry holds. The driver
// (driver.hpp) persists what they say, then acts.
//
//   canary    the canary boards are offered every variant that fits them. All UPDATED, each by a
//             report that it signed (or, where the class has no budget, HELD after measuring):
//             widening. One FAILED, REJECTED or ROLLED_BACK (or NOT_MEASURABLE, where the rollout
//             says so), or without an end for longer than patience, whatever it says meanwhile:
//             stopped, and every canary is returned to what it served before; no other board is
//             touched.
//   widening  every other board of the model is offered the best variant for its class, by what
//             the canaries measured: first_ring of them at once, then as many as have taken it (RolloutLimits), those
//             that are online first, when the schedule is open. A class without a choice stays out, and that is said. Too many
//             failures: stopped; boards that are still at work are returned, boards that are
//             UPDATED keep it, since it works there.
//   In both   boards that measured it beside what served before are evidence (evidence.hpp): slower
//             than allowed: stopped, and every board is returned. Evidence that too many fail stops
//             before their share can be exceeded.
//   deadline  where there is one, a board that began, or is online, and signed nothing for so long has failed.
//   done      boards that are enrolled later get this release, too, while it is the newest done.
//   paused    offers nothing and does not widen; still stops.
//   stopped   by itself. aborted: by a person, and every board is returned, UPDATED or not.
//
// What ends a rollout is written with whom it takes back (RolloutRecord::takes_back), before anybody is told: boards are told in
// lots (RolloutView::most_steps), each decided by what has become of those before.
//
// A release that is withdrawn stops its rollout; one that is revoked is taken back from all boards,
// in whatever state its rollout is.

struct RolloutView {
  RolloutRecord rollout;
  ReleaseRecord release;
  std::vector<Device> devices;  // of the model, that it is for or that have a part in it
  std::vector<Assignment> assignments;
  // By device class. None: not asked for, since nothing could widen; then nothing does.
  std::optional<std::map<std::string, ClassChoice>> choices;
  std::set<std::string> online;
  std::set<std::string> superseded;  // boards that a later rollout has taken over
  bool serves_newcomers = false;     // there are some, it is the newest that is done, and no other one widens
  // That one decision takes: more of them follow by the next.
  std::size_t most_steps = std::numeric_limits<std::size_t>::max();
  Timestamp now;
  // So long after it was told something, or signed something, a board is to have come to an end. One
  // that has not does not keep a rollout from being done; what it was offered waits for it. A canary
  // that has not stops it.
  std::chrono::seconds patience{std::chrono::hours(24)};
};

struct Step {
  Assignment assignment;
  bool command = false;  // to get a new generation and to be sent
};

struct Decision {
  std::vector<Step> steps;
  std::optional<RolloutRecord> rollout;  // where it changed
  std::optional<Because> because;       // where its state changed
  bool more = false;  // there is more to do at once, by another decision when these steps are written
  [[nodiscard]] bool empty() const { return steps.empty() && !rollout; }
};

[[nodiscard]] Decision decide(const RolloutView& view);

// Whether a board has heard of what it was told and signed nothing for longer than the rollout's deadline: it has failed.
[[nodiscard]] bool is_silent(const RolloutRecord& rollout, const Assignment& assignment, bool online, Timestamp now);

// What the boards of its model have shown of a rollout so far.
class RolloutEvidence {
 public:
  RolloutEvidence(const RolloutRecord& rollout, Timestamp now) : rollout_(&rollout), now_(now) {}
  // `assignment`: null where the board's turn is still to come.
  void add(const Device& device, const Assignment* assignment, bool online);
  [[nodiscard]] Judgement judge(bool with_intervals = false) const;

 private:
  const RolloutRecord* rollout_;
  Timestamp now_;
  std::map<std::string, Observed> classes_;
};

// What a rollout is, in a sentence: "in its canary phase", "widening".
[[nodiscard]] std::string in_words(RolloutState state);

// What a person asks for. refused where the rollout's state does not allow it.
[[nodiscard]] Result<Decision> pause(const RolloutView& view);
// Also offers again, with a new generation, to boards that could not measure.
[[nodiscard]] Result<Decision> resume(const RolloutView& view);
// Doubles how many boards are at work at once.
[[nodiscard]] Result<Decision> skip_ring(const RolloutView& view);
[[nodiscard]] Result<Decision> abort(const RolloutView& view, const std::string& reason);

// Whether desired and reported state agree.
enum class Need {
  nothing,
  send,            // the board has not seen what it is to be at
  new_generation,  // the board has seen a higher one than ours (our database is older than it)
};
[[nodiscard]] Need compare(const Assignment& desired, const messages::DeviceStatus& status);

}  // namespace outcrop::fleet
