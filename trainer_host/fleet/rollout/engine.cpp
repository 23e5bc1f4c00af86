#include "trainer_host/fleet/rollout/engine.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "protocol/base/cut_short.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;

constexpr std::uint64_t most_rings_skipped = 20;  // a million times as many boards
constexpr std::size_t longest_reason = 1024;  // SCHEMA.md, of a cancel
// A canary that lost its connection for a moment stops nothing, and a board needs time for its work.
constexpr std::chrono::seconds least_patience{600};

std::string shortened(const std::string& reason) {
  return cut_short(reason, longest_reason);
}

std::string plural(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// One decision under way: a copy of the view that changes as steps are taken.
class Deciding {
 public:
  explicit Deciding(const RolloutView& view) : view_(view), rollout_(view.rollout) {
    for (const Assignment& assignment : view.assignments) {
      assignments_.emplace(assignment.device, assignment);
    }
  }

  void run();
  void abort(const std::string& reason);
  void pause();
  void resume();
  void skip_ring();
  Decision finish();

 private:
  [[nodiscard]] RolloutState phase() const {
    return rollout_.state == RolloutState::paused ? rollout_.resume_to : rollout_.state;
  }
  [[nodiscard]] bool paused() const { return rollout_.state == RolloutState::paused; }
  [[nodiscard]] bool is_overdue(const Assignment& assignment) const;
  [[nodiscard]] bool is_silent(const Assignment& assignment) const;
  [[nodiscard]] bool failed(const Assignment& assignment) const;
  [[nodiscard]] std::string why_failed(const Assignment& assignment) const;
  [[nodiscard]] bool measured_only(const Assignment& assignment) const;
  [[nodiscard]] bool passed(const Assignment& assignment) const;
  [[nodiscard]] std::optional<std::string> given_up(const Assignment& canary) const;
  [[nodiscard]] bool can_be_taken_back(const Assignment& assignment) const;

  void drop_revoked_boards();
  [[nodiscard]] Judgement evidence(bool with_intervals = false) const;
  [[nodiscard]] bool stopped_by_evidence();
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] std::uint64_t left_of_minute() const;
  void count_in_minute();
  [[nodiscard]] std::size_t to_come() const;
  void decide_canaries();
  void widen();
  void offer_to(const Device& device);
  void offer_to_canaries();
  void decide_widened();
  void finish_where_all_are_done();
  void take_back(const std::function<bool(const Assignment&)>& which, const std::string& reason);
  void end(RolloutState state, const std::string& reason);
  void explain(const std::string& reason) { rollout_.reason = shortened(reason); }
  void change(Assignment assignment, bool command);

  const RolloutView& view_;
  RolloutRecord rollout_;
  std::map<std::string, Assignment> assignments_;  // by device
  std::map<std::string, bool> changed_;            // device -> whether it is to be told
};

void Deciding::change(Assignment assignment, bool command) {
  assignment.updated = view_.now;
  changed_[assignment.device] = changed_[assignment.device] || command;
  assignments_.insert_or_assign(assignment.device, std::move(assignment));
}

void Deciding::end(RolloutState state, const std::string& reason) {
  rollout_.state = state;
  rollout_.ended = view_.now;
  explain(reason);
}

// One that was away when it was offered has not heard of it.
bool Deciding::is_silent(const Assignment& assignment) const {
  const std::chrono::seconds deadline = rollout_.limits.deadline;
  if (deadline.count() == 0 || assignment.generation == 0 || assignment.cancelled) return false;
  const bool has_heard = assignment.state || view_.online.contains(assignment.device);
  const bool is_to_answer = !assignment.state || is_under_way(*assignment.state);
  return has_heard && is_to_answer && view_.now - assignment.updated >= deadline + rollout_.soak;
}

std::string Deciding::why_failed(const Assignment& assignment) const {
  const std::string state(assignment.state ? to_string(*assignment.state) : "without a word");
  return assignment.device + " " + state + (assignment.reason.empty() ? "" : ": " + assignment.reason) +
         (is_silent(assignment) ? ", and nothing that it signed for longer than its deadline of " +
                                      std::to_string(rollout_.limits.deadline.count()) + " s"
                                : "");
}

bool Deciding::failed(const Assignment& assignment) const {
  if (assignment.excluded) return false;
  if (is_silent(assignment)) return true;
  if (!assignment.state) return false;
  return has_failed(*assignment.state) ||
         (*assignment.state == DeploymentState::not_measurable &&
          rollout_.on_unmeasurable == messages::OnUnmeasurable::fail);
}

// A canary of a class without a budget measures and activates nothing: HELD, by a signed report.
bool Deciding::measured_only(const Assignment& assignment) const {
  return assignment.canary && assignment.state == DeploymentState::held && assignment.confirmed;
}

bool Deciding::passed(const Assignment& assignment) const {
  return (assignment.state == DeploymentState::updated && assignment.confirmed) ||
         measured_only(assignment);
}

// Every state has a deadline: since the board was told, or since it last signed anything, as long as
// patience lasts, and as long as the offer wants it to soak. A connection that comes and goes, or a
// board that says for ever that it is at work, does not move it.
bool Deciding::is_overdue(const Assignment& assignment) const {
  const bool works = view_.online.contains(assignment.device) &&
                     (!assignment.state || is_under_way(*assignment.state));
  const auto patience = assignment.canary || works ? std::max(view_.patience, least_patience)
                                                   : view_.patience;
  return view_.now - assignment.updated >= patience + rollout_.soak;
}

// Why it is waited for no longer. None while it is.
std::optional<std::string> Deciding::given_up(const Assignment& canary) const {
  if (canary.generation == 0 || !is_overdue(canary)) return std::nullopt;
  const bool offline = !view_.online.contains(canary.device);
  const std::string where = offline         ? "offline"
                            : canary.state ? std::string(to_string(*canary.state))
                                           : "without a word";
  const std::string why = offline                  ? "; it may have died of the release"
                          : canary.reason.empty() ? ""
                                                   : ": " + canary.reason;
  return "canary " + canary.device + " (" + where + ") has come to no end since " +
         to_rfc3339(canary.updated) + ", longer than [rollout] patience_hours allows" + why;
}

bool Deciding::can_be_taken_back(const Assignment& assignment) const {
  // A board that failed serves what it served before already, and its state says why.
  const bool returned = assignment.state && has_failed(*assignment.state);
  return assignment.generation > 0 && !assignment.cancelled && !returned &&
         !view_.superseded.contains(assignment.device);
}

void Deciding::take_back(const std::function<bool(const Assignment&)>& which,
                         const std::string& reason) {
  for (auto& [device, held] : std::map(assignments_)) {
    if (!can_be_taken_back(held) || !which(held)) continue;
    Assignment assignment = held;
    assignment.cancelled = true;
    assignment.state.reset();
    assignment.confirmed = false;
    assignment.reason = shortened(reason);
    change(std::move(assignment), true);
  }
}

void Deciding::drop_revoked_boards() {
  for (const Device& device : view_.devices) {
    const auto found = assignments_.find(device.name);
    if (!device.revoked || found == assignments_.end() || found->second.excluded) continue;
    Assignment assignment = found->second;
    assignment.excluded = true;
    assignment.reason = "the board is revoked: " + device.revoked_reason;
    change(std::move(assignment), false);
  }
}

void Deciding::decide_canaries() {
  std::size_t canaries = 0;
  std::size_t updated = 0;
  std::string waiting;
  for (const auto& [device, assignment] : assignments_) {
    if (!assignment.canary || assignment.excluded) continue;
    ++canaries;
    if (failed(assignment)) {
      const std::string reason = "canary " + why_failed(assignment);
      take_back([](const Assignment& other) { return other.canary; },
                "rollout " + rollout_.name + " stopped: " + reason);
      return end(RolloutState::stopped, reason);
    }
    if (passed(assignment)) {
      ++updated;
    } else if (const auto reason = given_up(assignment); !paused() && reason) {
      take_back([](const Assignment& other) { return other.canary; },
                "rollout " + rollout_.name + " stopped: " + *reason);
      return end(RolloutState::stopped, *reason);
    } else {
      const bool offline = !view_.online.contains(device);
      const std::string state(assignment.state ? to_string(*assignment.state) : "no word yet");
      waiting += (waiting.empty() ? "" : "; ") + device + ": " +
                 (offline ? "offline, " + state : state) +
                 (assignment.reason.empty() ? "" : " (" + assignment.reason + ")");
    }
  }
  if (canaries == 0) return end(RolloutState::stopped, "no canary is left");
  if (stopped_by_evidence()) return;
  if (updated < canaries) {
    if (paused()) return;
    if (!rollout_.schedule.open(view_.now)) return explain(waits_for(rollout_.schedule, view_.now));
    explain("waits for " + waiting);
    return offer_to_canaries();
  }
  if (paused()) {
    rollout_.resume_to = RolloutState::widening;
    return;
  }
  rollout_.state = RolloutState::widening;
}

void Deciding::offer_to_canaries() {
  for (const auto& [device, assignment] : std::map(assignments_)) {
    if (assignment.generation == 0 && !assignment.excluded) change(assignment, true);
  }
}

void Deciding::offer_to(const Device& device) {
  Assignment assignment;
  assignment.rollout = rollout_.name;
  assignment.device = device.name;
  assignment.manifest = rollout_.manifest;
  const auto choice = view_.choices->find(device.device_class);
  if (choice == view_.choices->end() || !choice->second.variant) {
    assignment.excluded = true;
    assignment.reason = "stays out: " + (choice == view_.choices->end()
                                             ? "no canary is of the class " + device.device_class
                                             : choice->second.reason);
    return change(std::move(assignment), false);
  }
  assignment.variants = {*choice->second.variant};
  change(std::move(assignment), true);
}

// How many more boards may be at work: those that took it vouch for as many others, so that what goes
// wrong late goes wrong on few.
std::size_t Deciding::room() const {
  std::size_t at_work = 0;
  std::size_t updated = 0;
  for (const auto& [device, assignment] : assignments_) {
    if (assignment.excluded || assignment.cancelled) continue;
    updated += assignment.state == DeploymentState::updated ? 1 : 0;
    const bool works = !assignment.state || is_under_way(*assignment.state);
    at_work += works && view_.online.contains(device) && !is_overdue(assignment) ? 1 : 0;
  }
  const RolloutLimits& limits = rollout_.limits;
  std::uint64_t most = std::max<std::uint64_t>({limits.first_ring, 1, updated});
  most <<= std::min(rollout_.rings_skipped, most_rings_skipped);
  if (limits.at_once > 0) most = std::min(most, limits.at_once);
  return most > at_work ? most - at_work : 0;
}

// Of this minute.
std::uint64_t Deciding::left_of_minute() const {
  if (rollout_.limits.a_minute == 0) return std::numeric_limits<std::uint64_t>::max();
  if (rollout_.minute != std::chrono::floor<std::chrono::minutes>(view_.now)) return rollout_.limits.a_minute;
  return rollout_.limits.a_minute - std::min(rollout_.limits.a_minute, rollout_.in_minute);
}

void Deciding::count_in_minute() {
  if (rollout_.limits.a_minute == 0) return;
  const Timestamp minute = std::chrono::floor<std::chrono::minutes>(view_.now);
  if (std::exchange(rollout_.minute, minute) != minute) rollout_.in_minute = 0;
  ++rollout_.in_minute;
}

// Boards whose turn is still to come.
std::size_t Deciding::to_come() const {
  return static_cast<std::size_t>(
      std::count_if(view_.devices.begin(), view_.devices.end(), [&](const Device& device) {
        return !device.revoked && !assignments_.contains(device.name);
      }));
}

// By choices only: without them every board would stay out for good.
void Deciding::widen() {
  if (!view_.choices || !rollout_.schedule.open(view_.now)) return;
  std::size_t left = room();
  // One that is away works on nothing: it gets its turn when all that are there have had theirs.
  for (const bool online : {true, false}) {
    for (const Device& device : view_.devices) {
      if (device.revoked || assignments_.contains(device.name) || view_.online.contains(device.name) != online) continue;
      if (left == 0 || left_of_minute() == 0) return;
      offer_to(device);
      if (assignments_.at(device.name).excluded) continue;
      count_in_minute();
      if (online) --left;
    }
  }
}

Judgement Deciding::evidence(bool with_intervals) const {
  RolloutEvidence evidence;
  for (const Device& device : view_.devices) {
    const auto found = assignments_.find(device.name);
    evidence.add(device, found == assignments_.end() ? nullptr : &found->second);
  }
  return evidence.judge(rollout_, with_intervals);
}

bool Deciding::stopped_by_evidence() {
  const Judgement judgement = evidence();
  if (!judgement.stop) return false;
  // Where it is slower it is slower for good; where it failed too often, it works on boards that have it.
  take_back([&](const Assignment& assignment) { return judgement.stop_is_slowness || assignment.state != DeploymentState::updated; },
            "rollout " + rollout_.name + " stopped: " + *judgement.stop);
  end(RolloutState::stopped, *judgement.stop);
  return true;
}

void Deciding::decide_widened() {
  std::size_t boards = to_come();
  std::size_t failures = 0;
  std::string first;
  for (const auto& [device, assignment] : assignments_) {
    if (assignment.excluded) continue;
    ++boards;
    if (!failed(assignment)) continue;
    ++failures;
    if (first.empty()) first = why_failed(assignment);
  }
  const double share =
      boards == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(boards);
  if (failures > 0 && share > rollout_.limits.failed_share) {
    const std::string reason =
        plural(failures, "board") + " of " + std::to_string(boards) + " failed; " + first;
    take_back(
        [](const Assignment& assignment) { return assignment.state != DeploymentState::updated; },
        "rollout " + rollout_.name + " stopped: " + reason);
    return end(RolloutState::stopped, reason);
  }
  if (stopped_by_evidence()) return;
  if (paused() || !view_.choices) return;
  widen();
  finish_where_all_are_done();
}

void Deciding::finish_where_all_are_done() {
  std::size_t updated = 0;
  std::size_t failures = 0;
  std::size_t out = 0;
  std::size_t late = 0;
  std::size_t only_measured = 0;
  std::string waiting;
  for (const auto& [device, assignment] : assignments_) {
    if (assignment.excluded) {
      ++out;
    } else if (assignment.state == DeploymentState::updated) {
      ++updated;
    } else if (failed(assignment)) {
      ++failures;
    } else if (measured_only(assignment)) {
      ++only_measured;
    } else if (is_overdue(assignment)) {
      ++late;
    } else {
      waiting += (waiting.empty() ? "" : ", ") + device;
    }
  }
  const std::size_t waiting_for_turn = to_come();
  std::string words = plural(updated, "board") + " updated";
  if (failures > 0) words += ", " + std::to_string(failures) + " failed, as allowed";
  if (only_measured > 0) words += ", " + std::to_string(only_measured) + " measured only";
  if (out > 0) words += ", " + plural(out, "board") + " staying out";
  if (late > 0) words += ", " + plural(late, "board") + " offline, held or without an end: offered when back";
  if (waiting_for_turn > 0) words += ", " + plural(waiting_for_turn, "board") + " to come";
  if (waiting_for_turn > 0 && !rollout_.schedule.open(view_.now)) words += ", " + waits_for(rollout_.schedule, view_.now);
  if (!waiting.empty() || waiting_for_turn > 0) {
    return explain(words + (waiting.empty() ? "" : "; waits for " + waiting));
  }
  const std::string compared = outcrop::fleet::in_words(evidence(true));
  if (!compared.empty()) words += "; " + compared;
  std::string variants;
  for (const auto& [device_class, choice] : *view_.choices) {
    if (choice.variant) variants += "; " + device_class + ": " + choice.reason;
  }
  end(RolloutState::done, words + variants);
}

void Deciding::run() {
  if (view_.release.state == ReleaseState::revoked) {
    const std::string reason = "the release is revoked: " + view_.release.reason;
    take_back([](const Assignment&) { return true; }, reason);
    if (!has_ended(rollout_.state) || rollout_.state == RolloutState::done) {
      end(RolloutState::stopped, reason);
    }
    return;
  }
  if (has_ended(rollout_.state)) {
    if (rollout_.state == RolloutState::done && view_.serves_newcomers &&
        view_.release.state == ReleaseState::published) {
      widen();
    }
    return;
  }
  if (view_.release.state == ReleaseState::withdrawn) {
    const bool canaries = phase() == RolloutState::canary;
    const std::string reason = "the release is withdrawn: " + view_.release.reason;
    take_back(
        [&](const Assignment& assignment) {
          return canaries || assignment.state != DeploymentState::updated;
        },
        reason);
    return end(RolloutState::stopped, reason);
  }
  drop_revoked_boards();
  if (phase() == RolloutState::canary) decide_canaries();
  if (phase() == RolloutState::widening) decide_widened();
}

void Deciding::abort(const std::string& reason) {
  take_back([](const Assignment&) { return true; }, reason);
  end(RolloutState::aborted, reason);
}

void Deciding::pause() {
  rollout_.resume_to = rollout_.state;
  rollout_.state = RolloutState::paused;
  explain("paused");
}

void Deciding::resume() {
  if (paused()) rollout_.state = rollout_.resume_to;
  for (auto& [device, held] : std::map(assignments_)) {  // nobody was waited for meanwhile
    const bool waits = held.generation > 0 && !held.excluded && !held.cancelled && !passed(held) &&
                       !failed(held);
    if (waits) change(held, false);
  }
  for (auto& [device, held] : std::map(assignments_)) {
    if (held.state != DeploymentState::not_measurable || held.cancelled || held.excluded) continue;
    Assignment assignment = held;
    assignment.state.reset();
    assignment.confirmed = false;
    assignment.reason.clear();
    change(std::move(assignment), true);
  }
  run();
}

void Deciding::skip_ring() {
  ++rollout_.rings_skipped;
  run();
}

Decision Deciding::finish() {
  Decision decision;
  for (const auto& [device, command] : changed_) {
    decision.steps.push_back({assignments_.at(device), command});
  }
  const RolloutRecord& before = view_.rollout;
  if (rollout_.state != before.state || rollout_.resume_to != before.resume_to ||
      rollout_.reason != before.reason || rollout_.rings_skipped != before.rings_skipped ||
      rollout_.minute != before.minute || rollout_.in_minute != before.in_minute) {
    decision.rollout = rollout_;
  }
  return decision;
}

tl::unexpected<Error> not_now(const RolloutView& view, const std::string& verb) {
  return fail(ErrorCode::refused, "rollout " + view.rollout.name + " is " +
                                      in_words(view.rollout.state) + ": there is nothing to " +
                                      verb);
}

}  // namespace

void RolloutEvidence::add(const Device& device, const Assignment* assignment) {
  if (assignment == nullptr ? device.revoked.has_value() : assignment->excluded) return;
  Observed& seen = classes_[device.device_class];
  ++seen.all;
  if (assignment == nullptr) return;
  if (assignment->slowdown) {
    seen.ratios.push_back(assignment->slowdown->p90);
    seen.throughout.push_back(std::min(assignment->slowdown->p90, assignment->slowdown->p50));
  }
  // What was taken back went back because it was told to.
  const bool has_ended = assignment->state && is_final(*assignment->state) && !assignment->cancelled;
  seen.ended += has_ended ? 1 : 0;
  seen.failures += has_ended && has_failed(*assignment->state) ? 1 : 0;
}

Judgement RolloutEvidence::judge(const RolloutRecord& rollout, bool with_intervals) const {
  return fleet::judge(classes_, rollout.limits, with_intervals);
}

std::string in_words(RolloutState state) {
  if (state == RolloutState::canary) return "in its canary phase";
  return std::string(to_string(state));
}

Decision decide(const RolloutView& view) {
  Deciding deciding(view);
  deciding.run();
  return deciding.finish();
}

Result<Decision> pause(const RolloutView& view) {
  if (has_ended(view.rollout.state) || view.rollout.state == RolloutState::paused) {
    return not_now(view, "pause");
  }
  Deciding deciding(view);
  deciding.pause();
  return deciding.finish();
}

Result<Decision> resume(const RolloutView& view) {
  const bool stuck = std::any_of(
      view.assignments.begin(), view.assignments.end(), [](const Assignment& assignment) {
        return assignment.state == DeploymentState::not_measurable && !assignment.cancelled;
      });
  if (has_ended(view.rollout.state) || (view.rollout.state != RolloutState::paused && !stuck)) {
    return not_now(view, "resume");
  }
  Deciding deciding(view);
  deciding.resume();
  return deciding.finish();
}

Result<Decision> skip_ring(const RolloutView& view) {
  if (view.rollout.state == RolloutState::canary) {
    return fail(ErrorCode::refused, "rollout " + view.rollout.name +
                                        " is in its canary phase: canaries are no ring, what they measure decides what the others get");
  }
  if (view.rollout.state != RolloutState::widening) return not_now(view, "skip");
  Deciding deciding(view);
  deciding.skip_ring();
  return deciding.finish();
}

Result<Decision> abort(const RolloutView& view, const std::string& reason) {
  if (has_ended(view.rollout.state)) return not_now(view, "abort");
  Deciding deciding(view);
  deciding.abort(reason);
  return deciding.finish();
}

Need compare(const Assignment& desired, const messages::DeviceStatus& status) {
  const bool ahead = status.generation > desired.generation;
  if (ahead && !messages::leaps(status.generation, desired.generation)) return Need::new_generation;
  if (status.deployment && status.deployment->id.generation == desired.generation) {
    return Need::nothing;
  }
  return Need::send;
}

}  // namespace outcrop::fleet
