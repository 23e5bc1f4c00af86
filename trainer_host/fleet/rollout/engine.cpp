#include "trainer_host/fleet/rollout/engine.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>
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

// One decision under way: the view, over which what the steps change is laid.
class Deciding {
 public:
  explicit Deciding(const RolloutView& view) : view_(view), rollout_(view.rollout) {
    boards_.reserve(view.devices.size());
    std::unordered_map<std::string_view, std::size_t> places;
    places.reserve(view.devices.size());
    const auto add = [&](const std::string& name, const Device* device) {
      places.emplace(name, boards_.size());
      boards_.push_back({name, device, nullptr, view.online.contains(name)});
    };
    for (const Device& device : view.devices) add(device.name, &device);
    for (const Assignment& assignment : view.assignments) {
      if (!places.contains(assignment.device)) add(assignment.device, nullptr);
      boards_[places.at(assignment.device)].assignment = &assignment;
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
  struct Board {
    std::string_view name;
    const Device* device = nullptr;          // none: it is of another model by now
    const Assignment* assignment = nullptr;  // none: its turn is still to come
    bool online = false;
  };
  [[nodiscard]] bool is_overdue(const Board& board) const;
  [[nodiscard]] bool is_silent(const Board& board) const;
  [[nodiscard]] bool failed(const Board& board) const;
  [[nodiscard]] std::string why_failed(const Board& board) const;
  [[nodiscard]] bool measured_only(const Assignment& assignment) const;
  [[nodiscard]] bool passed(const Assignment& assignment) const;
  [[nodiscard]] std::optional<std::string> given_up(const Board& canary) const;
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
  void offer_to(Board& board);
  void offer_to_canaries();
  void decide_widened();
  void finish_where_all_are_done();
  void take_back(TakeBack which, const std::string& reason);
  void go_on_taking_back();
  void stop(TakeBack which, Because because, const std::string& reason);
  void end(RolloutState state, Because because, const std::string& reason);
  void enter(RolloutState state, Because because);
  void explain(const std::string& reason) { rollout_.reason = shortened(reason); }
  void change(Board& board, Assignment assignment, bool command);
  [[nodiscard]] bool is_full();

  const RolloutView& view_;
  RolloutRecord rollout_;
  std::vector<Board> boards_;  // the devices of the view in its order, then those that are none of them
  std::map<std::string, Step> steps_;  // by device
  std::optional<Because> because_;
  bool more_ = false;
};

void Deciding::change(Board& board, Assignment assignment, bool command) {
  assignment.updated = view_.now;
  Step& step = steps_[assignment.device];
  step.command = step.command || command;
  step.assignment = std::move(assignment);
  board.assignment = &step.assignment;
}

// What is left is decided upon again, by what has become of these.
bool Deciding::is_full() {
  if (steps_.size() < view_.most_steps) return false;
  return more_ = true;
}

void Deciding::stop(TakeBack which, Because because, const std::string& reason) {
  take_back(which, "rollout " + rollout_.name + " stopped: " + reason);
  end(RolloutState::stopped, because, reason);
}

void Deciding::enter(RolloutState state, Because because) {
  rollout_.state = state;
  because_ = because;
}

void Deciding::end(RolloutState state, Because because, const std::string& reason) {
  enter(state, because);
  rollout_.ended = view_.now;
  explain(reason);
}

bool Deciding::is_silent(const Board& board) const {
  return fleet::is_silent(rollout_, *board.assignment, board.online, view_.now);
}

std::string Deciding::why_failed(const Board& board) const {
  const Assignment& assignment = *board.assignment;
  const std::string state(assignment.state ? to_string(*assignment.state) : "without a word");
  return assignment.device + " " + state + (assignment.reason.empty() ? "" : ": " + assignment.reason) +
         (is_silent(board) ? ", and nothing that it signed for longer than its deadline of " +
                                      std::to_string(rollout_.limits.deadline.count()) + " s"
                                : "");
}

bool Deciding::failed(const Board& board) const {
  const Assignment& assignment = *board.assignment;
  if (assignment.excluded) return false;
  if (is_silent(board)) return true;
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
bool Deciding::is_overdue(const Board& board) const {
  const Assignment& assignment = *board.assignment;
  const bool works = board.online && (!assignment.state || is_under_way(*assignment.state));
  const auto patience = assignment.canary || works ? std::max(view_.patience, least_patience)
                                                   : view_.patience;
  return view_.now - assignment.updated >= patience + rollout_.soak;
}

// Why it is waited for no longer. None while it is.
std::optional<std::string> Deciding::given_up(const Board& board) const {
  const Assignment& canary = *board.assignment;
  if (canary.generation == 0 || !is_overdue(board)) return std::nullopt;
  const bool offline = !board.online;
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

// Written with what it follows from, before any board is told: who is killed between two lots goes on with it.
void Deciding::take_back(TakeBack which, const std::string& reason) {
  rollout_.takes_back = which;
  rollout_.takes_back_because = shortened(reason);
  go_on_taking_back();
}

void Deciding::go_on_taking_back() {
  for (Board& board : boards_) {
    if (board.assignment == nullptr || !can_be_taken_back(*board.assignment)) continue;
    if (rollout_.takes_back == TakeBack::unfinished && board.assignment->state == DeploymentState::updated) continue;
    if (is_full()) return;
    Assignment assignment = *board.assignment;
    assignment.cancelled = true;
    assignment.state.reset();
    assignment.confirmed = false;
    assignment.reason = rollout_.takes_back_because;
    change(board, std::move(assignment), true);
  }
  rollout_.takes_back = TakeBack::nothing;
  rollout_.takes_back_because.clear();
}

void Deciding::drop_revoked_boards() {
  for (Board& board : boards_) {
    if (board.device == nullptr || !board.device->revoked || board.assignment == nullptr || board.assignment->excluded) continue;
    Assignment assignment = *board.assignment;
    assignment.excluded = true;
    assignment.reason = "the board is revoked: " + board.device->revoked_reason;
    change(board, std::move(assignment), false);
  }
}

void Deciding::decide_canaries() {
  std::size_t canaries = 0;
  std::size_t updated = 0;
  std::string waiting;
  for (const Board& board : boards_) {
    if (board.assignment == nullptr || !board.assignment->canary || board.assignment->excluded) continue;
    const Assignment& assignment = *board.assignment;
    ++canaries;
    if (failed(board)) return stop(TakeBack::all, is_silent(board) ? Because::canary_silent : Because::canary_failed, "canary " + why_failed(board));
    if (passed(assignment)) {
      ++updated;
    } else if (const auto reason = given_up(board); !paused() && reason) {
      return stop(TakeBack::all, Because::canary_silent, *reason);
    } else {
      const std::string state(assignment.state ? to_string(*assignment.state) : "no word yet");
      waiting += (waiting.empty() ? "" : "; ") + assignment.device + ": " + (board.online ? state : "offline, " + state) +
                 (assignment.reason.empty() ? "" : " (" + assignment.reason + ")");
    }
  }
  if (canaries == 0) return end(RolloutState::stopped, Because::no_canary_left, "no canary is left");
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
  enter(RolloutState::widening, Because::canaries_passed);
}

void Deciding::offer_to_canaries() {
  for (Board& board : boards_) {
    if (board.assignment == nullptr || board.assignment->generation > 0 || board.assignment->excluded) continue;
    if (is_full()) return;
    change(board, *board.assignment, true);
  }
}

void Deciding::offer_to(Board& board) {
  Assignment assignment;
  assignment.rollout = rollout_.name;
  assignment.device = board.device->name;
  assignment.manifest = rollout_.manifest;
  const auto choice = view_.choices->find(board.device->device_class);
  if (choice == view_.choices->end() || !choice->second.variant) {
    assignment.excluded = true;
    assignment.reason = "stays out: " + (choice == view_.choices->end()
                                             ? "no canary is of the class " + board.device->device_class
                                             : choice->second.reason);
    return change(board, std::move(assignment), false);
  }
  assignment.variants = {*choice->second.variant};
  change(board, std::move(assignment), true);
}

// How many more boards may be at work: those that took it vouch for as many others, so that what goes
// wrong late goes wrong on few.
std::size_t Deciding::room() const {
  std::size_t at_work = 0;
  std::size_t updated = 0;
  for (const Board& board : boards_) {
    if (board.assignment == nullptr || board.assignment->excluded || board.assignment->cancelled) continue;
    const Assignment& assignment = *board.assignment;
    updated += assignment.state == DeploymentState::updated ? 1 : 0;
    const bool works = !assignment.state || is_under_way(*assignment.state);
    at_work += works && board.online && !is_overdue(board) ? 1 : 0;
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
  return static_cast<std::size_t>(std::count_if(boards_.begin(), boards_.end(), [](const Board& board) {
    return board.assignment == nullptr && !board.device->revoked;
  }));
}

// By choices only: without them every board would stay out for good.
void Deciding::widen() {
  if (!view_.choices || !rollout_.schedule.open(view_.now)) return;
  std::size_t left = room();
  // One that is away works on nothing: it gets its turn when all that are there have had theirs.
  for (const bool online : {true, false}) {
    for (Board& board : boards_) {
      if (board.assignment != nullptr || board.device->revoked || board.online != online) continue;
      if (left == 0 || left_of_minute() == 0 || is_full()) return;
      offer_to(board);
      if (board.assignment->excluded) continue;
      count_in_minute();
      if (online) --left;
    }
  }
}

Judgement Deciding::evidence(bool with_intervals) const {
  RolloutEvidence evidence(rollout_, view_.now);
  for (const Board& board : boards_) {
    if (board.device != nullptr) evidence.add(*board.device, board.assignment, board.online);
  }
  return evidence.judge(with_intervals);
}

bool Deciding::stopped_by_evidence() {
  const Judgement judgement = evidence();
  if (!judgement.stop) return false;
  // Where it is slower it is slower for good; where it failed too often, it works on boards that have it.
  if (judgement.stop_is_slowness) {
    stop(TakeBack::all, Because::evidence_of_slower, *judgement.stop);
  } else {
    stop(TakeBack::unfinished, Because::evidence_of_failures, *judgement.stop);
  }
  return true;
}

void Deciding::decide_widened() {
  std::size_t boards = to_come();
  std::size_t failures = 0;
  std::string first;
  for (const Board& board : boards_) {
    if (board.assignment == nullptr || board.assignment->excluded) continue;
    ++boards;
    if (!failed(board)) continue;
    ++failures;
    if (first.empty()) first = why_failed(board);
  }
  const double share =
      boards == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(boards);
  if (failures > 0 && share > rollout_.limits.failed_share) {
    return stop(TakeBack::unfinished, Because::too_many_failed, plural(failures, "board") + " of " + std::to_string(boards) + " failed; " + first);
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
  for (const Board& board : boards_) {
    if (board.assignment == nullptr) continue;
    const Assignment& assignment = *board.assignment;
    if (assignment.excluded) {
      ++out;
    } else if (assignment.state == DeploymentState::updated) {
      ++updated;
    } else if (failed(board)) {
      ++failures;
    } else if (measured_only(assignment)) {
      ++only_measured;
    } else if (is_overdue(board)) {
      ++late;
    } else if (waiting.size() <= longest_reason) {  // what is longer is cut
      waiting += (waiting.empty() ? "" : ", ") + assignment.device;
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
  end(RolloutState::done, Because::every_board_ended, words + variants);
}

void Deciding::run() {
  if (view_.release.state == ReleaseState::revoked) {
    const std::string reason = "the release is revoked: " + view_.release.reason;
    take_back(TakeBack::all, reason);
    if (!has_ended(rollout_.state) || rollout_.state == RolloutState::done) {
      end(RolloutState::stopped, Because::release_revoked, reason);
    }
    return;
  }
  if (has_ended(rollout_.state)) {
    if (rollout_.takes_back != TakeBack::nothing) return go_on_taking_back();
    if (rollout_.state == RolloutState::done && view_.serves_newcomers &&
        view_.release.state == ReleaseState::published) {
      widen();
    }
    return;
  }
  if (view_.release.state == ReleaseState::withdrawn) {
    const std::string reason = "the release is withdrawn: " + view_.release.reason;
    take_back(phase() == RolloutState::canary ? TakeBack::all : TakeBack::unfinished, reason);
    return end(RolloutState::stopped, Because::release_withdrawn, reason);
  }
  drop_revoked_boards();
  if (phase() == RolloutState::canary) decide_canaries();
  if (phase() == RolloutState::widening) decide_widened();
}

void Deciding::abort(const std::string& reason) {
  take_back(TakeBack::all, reason);
  end(RolloutState::aborted, Because::person, reason);
}

void Deciding::pause() {
  rollout_.resume_to = rollout_.state;
  enter(RolloutState::paused, Because::person);
  explain("paused");
}

void Deciding::resume() {
  if (paused()) enter(rollout_.resume_to, Because::resumed);
  for (Board& board : boards_) {
    if (board.assignment == nullptr || board.assignment->cancelled || board.assignment->excluded) continue;
    Assignment assignment = *board.assignment;
    if (assignment.state == DeploymentState::not_measurable) {
      assignment.state.reset();
      assignment.confirmed = false;
      assignment.reason.clear();
      change(board, std::move(assignment), true);
    } else if (assignment.generation > 0 && !passed(assignment) && !failed(board)) {
      change(board, std::move(assignment), false);  // nobody was waited for meanwhile
    }
  }
  run();
}

void Deciding::skip_ring() {
  ++rollout_.rings_skipped;
  run();
}

Decision Deciding::finish() {
  Decision decision;
  for (auto& [device, step] : steps_) decision.steps.push_back(std::move(step));
  decision.because = because_;
  decision.more = more_;
  const RolloutRecord& before = view_.rollout;
  if (rollout_.state != before.state || rollout_.resume_to != before.resume_to ||
      rollout_.reason != before.reason || rollout_.rings_skipped != before.rings_skipped ||
      rollout_.minute != before.minute || rollout_.in_minute != before.in_minute ||
      rollout_.takes_back != before.takes_back) {
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

// One that was away when it was offered has not heard of it.
bool is_silent(const RolloutRecord& rollout, const Assignment& assignment, bool online, Timestamp now) {
  const std::chrono::seconds deadline = rollout.limits.deadline;
  if (deadline.count() == 0 || assignment.generation == 0 || assignment.cancelled || assignment.excluded) return false;
  const bool has_heard = assignment.state || online;
  const bool is_to_answer = !assignment.state || is_under_way(*assignment.state);
  return has_heard && is_to_answer && now - assignment.updated >= deadline + rollout.soak;
}

void RolloutEvidence::add(const Device& device, const Assignment* assignment, bool online) {
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
  const bool silent = is_silent(*rollout_, *assignment, online, now_);
  seen.ended += has_ended || silent ? 1 : 0;
  seen.silent += silent ? 1 : 0;
  seen.failures += silent || (has_ended && has_failed(*assignment->state)) ? 1 : 0;
}

Judgement RolloutEvidence::judge(bool with_intervals) const {
  return fleet::judge(classes_, rollout_->limits, with_intervals);
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
  // An owner who installs before his board ever saw a generation says a first one that the board has not seen.
  const bool seen = status.generation >= desired.generation && status.deployment &&
                    status.deployment->id.generation == desired.generation;
  return seen ? Need::nothing : Need::send;
}

}  // namespace outcrop::fleet
