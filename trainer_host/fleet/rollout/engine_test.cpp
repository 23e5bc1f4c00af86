#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/fleet/rollout/engine.hpp"

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;
using messages::OnUnmeasurable;
using ::testing::HasSubstr;

constexpr Timestamp now{std::chrono::seconds(1'000'000)};

// A view of three boards c (canary), a and b, all online, with the rollout in a state.
class View {
 public:
  explicit View(RolloutState state = RolloutState::canary) {
    view_.rollout.name = "r";
    view_.rollout.model = "m";
    view_.rollout.state = state;
    view_.now = now;
    view_.choices = {{"pi", {"int8", "int8 (least p90_ms)"}}};
    for (const char* name : {"a", "b", "c"}) board(name);
    assign("c").canary = true;
  }
  Device& board(const std::string& name, const std::string& device_class = "pi") {
    Device device;
    device.name = name;
    device.model = "m";
    device.device_class = device_class;
    view_.online.insert(name);
    return view_.devices.emplace_back(device);
  }
  Assignment& assign(const std::string& name, std::optional<DeploymentState> state = {}) {
    Assignment assignment;
    assignment.rollout = "r";
    assignment.device = name;
    assignment.state = state;
    assignment.confirmed = true;
    assignment.generation = state ? 5 : 0;
    assignment.updated = now;
    return view_.assignments.emplace_back(assignment);
  }
  View& canary(DeploymentState state, bool confirmed = true, const std::string& reason = "") {
    Assignment& assignment = view_.assignments.front();
    assignment.state = state;
    assignment.reason = reason;
    assignment.confirmed = confirmed;
    assignment.generation = 5;
    return *this;
  }
  RolloutView* operator->() { return &view_; }
  RolloutView& operator*() { return view_; }

 private:
  RolloutView view_;
};

// "offer c; cancel a; exclude b; state" as one line.
std::string in_words(const Decision& decision) {
  std::string words;
  for (const Step& step : decision.steps) {
    const Assignment& a = step.assignment;
    words += (a.excluded      ? "exclude "
              : !step.command ? "note "
              : a.cancelled   ? "cancel "
                              : "offer ") +
             a.device;
    for (const std::string& variant : a.variants) words += " " + variant;
    words += "; ";
  }
  return words + (decision.rollout ? std::string(to_string(decision.rollout->state)) : "");
}

TEST(Engine, offers_to_the_canaries_first) {
  View view;
  EXPECT_EQ(in_words(decide(*view)), "offer c; canary");
}

struct CanaryCase {
  DeploymentState state;
  bool confirmed;
  OnUnmeasurable on_unmeasurable;
  const char* expected;
};

class CanaryTable : public ::testing::TestWithParam<CanaryCase> {};

TEST_P(CanaryTable, decides) {
  View view;
  view.canary(GetParam().state, GetParam().confirmed);
  view->rollout.on_unmeasurable = GetParam().on_unmeasurable;
  EXPECT_EQ(in_words(decide(*view)), GetParam().expected);
}

constexpr auto hold = OnUnmeasurable::hold;
constexpr const char* widens = "offer a int8; offer b int8; widening";
INSTANTIATE_TEST_SUITE_P(
    States, CanaryTable,
    ::testing::Values(CanaryCase{DeploymentState::offered, false, hold, "canary"},
                      CanaryCase{DeploymentState::downloading, false, hold, "canary"},
                      CanaryCase{DeploymentState::measuring, true, hold, "canary"},
                      CanaryCase{DeploymentState::soaking, true, hold, "canary"},
                      CanaryCase{DeploymentState::held, false, hold, "canary"},
                      // No budget for its class: it measured and signed that.
                      CanaryCase{DeploymentState::held, true, hold, widens},
                      CanaryCase{DeploymentState::updated, false, hold, "canary"},
                      CanaryCase{DeploymentState::updated, true, hold, widens},
                      CanaryCase{DeploymentState::failed, false, hold, "stopped"},
                      CanaryCase{DeploymentState::rejected, true, hold, "stopped"},
                      CanaryCase{DeploymentState::rolled_back, true, hold, "stopped"},
                      CanaryCase{DeploymentState::not_measurable, true, hold, "canary"},
                      CanaryCase{DeploymentState::not_measurable, true, OnUnmeasurable::fail,
                                 "cancel c; stopped"}));

TEST(Engine, a_failed_canary_returns_the_other_canaries_and_nobody_else) {
  View view;
  view.canary(DeploymentState::failed, true, "velocity is 90 m/s off");
  view.assign("a", DeploymentState::updated).canary = true;
  view.assign("b").canary = true;  // its offer was not made yet
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "cancel a; stopped");
  ASSERT_TRUE(decision.rollout);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped);
  EXPECT_EQ(decision.rollout->reason, "canary c FAILED: velocity is 90 m/s off");
  EXPECT_EQ(decision.rollout->ended, now);
}

TEST(Engine, a_release_ten_times_slower_within_its_budget_stops_at_the_canary) {
  View view;
  view.canary(DeploymentState::updated);
  view->assignments.front().slowdown = {10, 10};
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "cancel c; stopped");
  EXPECT_THAT(decision.rollout->reason, HasSubstr("more than twice as slow"));
  view->rollout.limits.slower_allowed = 9;  // --slower-allowed 900
  EXPECT_EQ(in_words(decide(*view)), widens);
}

TEST(Engine, evidence_of_slowness_returns_all_boards) {
  View view(RolloutState::widening);
  view->devices.clear();
  view->assignments.clear();
  for (int i = 0; i < 40; ++i) {
    const std::string name = "b" + std::to_string(i);
    view.board(name);
    view.assign(name, i < 30 ? DeploymentState::updated : DeploymentState::measuring);
    if (i < 30) view->assignments.back().slowdown = {i % 2 == 0 ? 1.07 : 1.04, 1};
  }
  const Decision decision = decide(*view);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped);
  EXPECT_THAT(decision.rollout->reason, HasSubstr("after 30 boards: p90 +5.5 %"));
  EXPECT_EQ(decision.steps.size(), 40U);
}

TEST(Engine, a_ring_grows_with_the_boards_that_took_it) {
  View view(RolloutState::widening);
  view->devices.clear();
  view->assignments.clear();
  for (int i = 0; i < 40; ++i) view.board("b" + std::to_string(i));
  view->online.erase("b0");
  view->rollout.limits.first_ring = 3;
  EXPECT_EQ(in_words(decide(*view)), "offer b1 int8; offer b2 int8; offer b3 int8; widening") << "b0 is away";
  for (const char* name : {"b1", "b2", "b3"}) view.assign(name, DeploymentState::updated);
  view.assign("b4", DeploymentState::updated);
  view.assign("b5", DeploymentState::updated);
  view.assign("b6", DeploymentState::measuring);
  const Decision decision = decide(*view);
  EXPECT_EQ(decision.steps.size(), 4U) << "five took it, one is at work";
  EXPECT_THAT(decision.rollout->reason, HasSubstr("30 boards to come"));
}

// Forty boards that are online, none of which has it.
View forty() {
  View view(RolloutState::widening);
  view->devices.clear();
  view->assignments.clear();
  for (int i = 0; i < 40; ++i) view.board("b" + std::to_string(i));
  return view;
}

TEST(Engine, no_more_boards_are_at_work_than_are_allowed_at_once) {
  View view = forty();
  view->rollout.limits.at_once = 4;
  EXPECT_EQ(decide(*view).steps.size(), 4U);
  for (int i = 0; i < 8; ++i) view.assign("b" + std::to_string(i), i < 5 ? DeploymentState::updated : DeploymentState::measuring);
  EXPECT_EQ(decide(*view).steps.size(), 1U) << "five took it and three are at work";
}

TEST(Engine, offers_no_more_in_a_minute_than_it_may) {
  View view = forty();
  view->rollout.limits.first_ring = 40;
  view->rollout.limits.a_minute = 3;
  const Decision first = decide(*view);
  EXPECT_EQ(first.steps.size(), 3U);
  view->rollout = *first.rollout;
  for (const Step& step : first.steps) view->assignments.push_back(step.assignment);
  EXPECT_TRUE(decide(*view).steps.empty()) << "in the same minute";
  view->now += std::chrono::minutes(1);
  EXPECT_EQ(decide(*view).steps.size(), 3U);
}

// As the driver does: what was decided is written, and the next decision is made by that.
void write(View& view, const Decision& decision) {
  if (decision.rollout) view->rollout = *decision.rollout;
  for (const Step& step : decision.steps) {
    auto& all = view->assignments;
    const auto found = std::find_if(all.begin(), all.end(), [&](const Assignment& one) { return one.device == step.assignment.device; });
    Assignment& written = found == all.end() ? all.emplace_back() : *found;
    written = step.assignment;
    if (step.command) written.generation = 100 + all.size();
  }
}

TEST(Engine, a_lot_is_decided_by_what_became_of_the_lots_before) {
  View view = forty();
  view->rollout.limits.first_ring = 40;
  view->rollout.limits.failed_share = 0.05;
  view->most_steps = 7;
  std::multiset<std::string> offered;
  for (const std::size_t expected : {7U, 7U, 7U}) {
    const Decision decision = decide(*view);
    EXPECT_EQ(decision.steps.size(), expected);
    EXPECT_TRUE(decision.more);
    for (const Step& step : decision.steps) offered.insert(step.assignment.device);
    write(view, decision);
  }
  EXPECT_EQ(offered.size(), std::set<std::string>(offered.begin(), offered.end()).size()) << "nobody twice";
  for (int i = 0; i < 3; ++i) view->assignments[i].state = DeploymentState::failed;
  const Decision decision = decide(*view);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped) << "although some have had no turn yet";
  EXPECT_THAT(decision.rollout->reason, HasSubstr("3 boards of 40 failed"));
  for (const Step& step : decision.steps) EXPECT_TRUE(offered.contains(step.assignment.device));
}

TEST(Engine, lots_of_one_minute_share_what_it_may_offer) {
  View view = forty();
  view->rollout.limits.first_ring = 40;
  view->rollout.limits.a_minute = 10;
  view->most_steps = 4;
  for (const std::size_t expected : {4U, 4U, 2U, 0U}) {
    const Decision decision = decide(*view);
    EXPECT_EQ(decision.steps.size(), expected);
    EXPECT_EQ(decision.more, expected == 4);
    write(view, decision);
  }
}

TEST(Engine, an_end_is_written_with_whom_it_takes_back_and_goes_on_until_all_are) {
  View view = forty();
  view->most_steps = 10;
  for (int i = 0; i < 40; ++i) view.assign("b" + std::to_string(i), DeploymentState::downloading);
  view->assignments[3].state = DeploymentState::failed;
  Decision decision = decide(*view);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped);
  EXPECT_EQ(decision.rollout->takes_back, TakeBack::unfinished);
  const std::string reason = decision.rollout->reason;
  write(view, decision);
  view->assignments[30].state = DeploymentState::updated;  // meanwhile: it works there
  std::size_t told = decision.steps.size();
  while (decision.more) {
    decision = decide(*view);
    EXPECT_LE(decision.steps.size(), 10U);
    for (const Step& step : decision.steps) {
      EXPECT_TRUE(step.command && step.assignment.cancelled);
      EXPECT_THAT(step.assignment.reason, HasSubstr("rollout r stopped: 1 board of 40 failed; b3"));
    }
    told += decision.steps.size();
    write(view, decision);
  }
  EXPECT_EQ(told, 38U) << "neither the one that failed nor the one that has it";
  EXPECT_EQ(view->rollout.takes_back, TakeBack::nothing);
  EXPECT_EQ(view->rollout.reason, reason);
  EXPECT_TRUE(decide(*view).empty());
}

TEST(Engine, offers_nothing_before_it_starts_and_outside_of_its_windows) {
  for (const RolloutState state : {RolloutState::canary, RolloutState::widening}) {
    View view(state);
    if (state == RolloutState::widening) view.canary(DeploymentState::updated);
    view->rollout.schedule.starts = now + std::chrono::hours(1);
    EXPECT_TRUE(decide(*view).steps.empty());
    EXPECT_THAT(decide(*view).rollout->reason, HasSubstr("starts at 1970-01-12T14:46:40Z"));
    view->now += std::chrono::hours(1);
    EXPECT_FALSE(decide(*view).steps.empty());
    view->rollout.schedule.windows = *windows_from("22:00-04:00");  // it is 14:46
    EXPECT_TRUE(decide(*view).steps.empty());
    EXPECT_THAT(decide(*view).rollout->reason, HasSubstr("goes on between 22:00-04:00 (UTC)"));
    view->now += std::chrono::hours(8);
    EXPECT_FALSE(decide(*view).steps.empty());
  }
}

TEST(Engine, still_stops_outside_of_its_windows) {
  View view;
  view->rollout.schedule.windows = *windows_from("22:00-04:00");
  view.canary(DeploymentState::failed);
  EXPECT_EQ(in_words(decide(*view)), "stopped");
}

TEST(Engine, silence_beyond_the_deadline_is_a_failure) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view->rollout.limits.deadline = std::chrono::minutes(10);
  view.assign("a", DeploymentState::downloading);
  view.assign("b").generation = 6;
  view->online.erase("b");  // it has not heard of it
  view->now += std::chrono::minutes(9);
  EXPECT_NE(decide(*view).rollout->state, RolloutState::stopped);
  view->now += std::chrono::minutes(1);
  const Decision decision = decide(*view);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped);
  EXPECT_THAT(decision.rollout->reason, HasSubstr("1 board of 3 failed; a DOWNLOADING, and nothing that it signed for longer than its deadline of 600 s"));
  View canary;
  canary->rollout.limits.deadline = std::chrono::minutes(10);
  canary->assignments.front().generation = 5;
  canary->now += std::chrono::minutes(10);
  EXPECT_THAT(decide(*canary).rollout->reason, HasSubstr("canary c without a word, and nothing"));
}

// Where failures are allowed the share of the whole fleet is reached long after silence has become evidence.
TEST(Engine, silence_beyond_the_deadline_is_evidence_of_failure) {
  View view = forty();
  for (int i = 40; i < 1000; ++i) view.board("b" + std::to_string(i));
  view->rollout.limits.failed_share = 0.02;
  view->rollout.limits.deadline = std::chrono::minutes(10);
  for (int i = 0; i < 40; ++i) view.assign("b" + std::to_string(i), i < 32 ? DeploymentState::updated : DeploymentState::measuring);
  EXPECT_NE(decide(*view).rollout->state, RolloutState::stopped) << "they are at work";
  for (int i = 32; i < 40; ++i) view->assignments[i].updated = now - std::chrono::minutes(11);
  const Decision decision = decide(*view);
  EXPECT_EQ(decision.rollout->state, RolloutState::stopped) << "8 of 1000 boards are within what is allowed";
  // A mean over shares p above .02 of (p / .02)^8 ((1 - p) / .98)^32, each with the weight (1 - p)^4; half of it: there are two questions.
  EXPECT_THAT(decision.rollout->reason, HasSubstr("after 40 boards: 8 of 40 boards failed on pi (8 silent beyond the deadline), evidence "));
  EXPECT_GT(failure_evidence(8, 40, 0.02) / 2, 100);
  EXPECT_EQ(decision.steps.size(), 8U) << "it works on the others";
  view->assignments.resize(35);  // three silent ones are no evidence yet
  EXPECT_LT(failure_evidence(3, 35, 0.02), 100);
  EXPECT_NE(decide(*view).rollout->state, RolloutState::stopped);
}

TEST(Engine, a_ring_that_is_skipped_doubles_what_is_at_work) {
  View view = forty();
  view->rollout.limits.first_ring = 3;
  const auto skipped = skip_ring(*view);
  ASSERT_THAT(skipped, IsOk());
  EXPECT_EQ(skipped->steps.size(), 6U);
  EXPECT_EQ(skipped->rollout->rings_skipped, 1U);
  EXPECT_THAT(skip_ring(*View()), ErrorIs(ErrorCode::refused, HasSubstr("canaries are no ring")));
  EXPECT_THAT(skip_ring(*View(RolloutState::done)), ErrorIs(ErrorCode::refused, HasSubstr("nothing to skip")));
}

TEST(Engine, a_long_reason_is_cut_between_characters) {
  std::string reason;
  while (reason.size() < 1022) reason += "…";  // three bytes each
  View view;
  view.canary(DeploymentState::failed, true, reason);
  view.assign("a", DeploymentState::updated).canary = true;
  const Decision decision = decide(*view);
  ASSERT_EQ(in_words(decision), "cancel a; stopped");
  messages::Cancel cancel;
  for (const std::string& cut : {decision.steps[0].assignment.reason, decision.rollout->reason}) {
    EXPECT_GT(cut.size(), 1017U);
    EXPECT_LE(cut.size(), 1024U);
    cancel.reason = cut;
    EXPECT_NO_THROW((void)to_json(cancel));  // as it is sent
  }
}

TEST(Engine, a_class_without_a_choice_stays_out_and_says_why) {
  View view;
  view.canary(DeploymentState::updated);
  view.board("t", "toaster");
  (*view->choices)["toaster"] = {std::nullopt, "the release has no budget for the class toaster"};
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "offer a int8; offer b int8; exclude t; widening");
  EXPECT_THAT(decision.steps[2].assignment.reason, HasSubstr("no budget"));
}

TEST(Engine, is_done_when_every_board_is) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::updated);
  view.assign("b", DeploymentState::soaking);
  EXPECT_EQ(in_words(decide(*view)), "widening");  // says whom it waits for
  view->assignments.back().state = DeploymentState::updated;
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "done");
  EXPECT_THAT(decision.rollout->reason, HasSubstr("3 boards updated"));
}

TEST(Engine, boards_that_are_away_or_held_are_waited_for_as_long_as_patience_lasts) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::held).confirmed = false;
  view.assign("b", DeploymentState::offered);
  view->online.erase("b");
  EXPECT_EQ(in_words(decide(*view)), "widening");
  view->now = now + view->patience;
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "done");
  EXPECT_THAT(decision.rollout->reason, HasSubstr("2 boards offline, held or without an end"));
}

TEST(Engine, a_failure_while_widening_stops_it_and_leaves_what_works) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::failed).reason = "no space";
  view.assign("b", DeploymentState::downloading);
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "cancel b; stopped");
  EXPECT_EQ(decision.rollout->reason, "1 board of 3 failed; a FAILED: no space");
  view->rollout.limits.failed_share = 0.34;
  EXPECT_EQ(in_words(decide(*view)), "widening");
}

TEST(Engine, paused_offers_nothing_but_still_stops) {
  View view(RolloutState::paused);
  EXPECT_TRUE(decide(*view).steps.empty());
  view.canary(DeploymentState::updated);
  const Decision decision = decide(*view);
  EXPECT_TRUE(decision.steps.empty());
  EXPECT_EQ(decision.rollout->resume_to, RolloutState::widening);
  view.canary(DeploymentState::failed);
  EXPECT_EQ(in_words(decide(*view)), "stopped");
}

TEST(Engine, resume_offers_again_to_boards_that_could_not_measure) {
  View view;
  EXPECT_THAT(resume(*view), ErrorIs(ErrorCode::refused, HasSubstr("nothing to resume")));
  view.canary(DeploymentState::not_measurable);
  const auto decision = resume(*view);
  ASSERT_THAT(decision, IsOk());
  EXPECT_EQ(in_words(*decision), "offer c; canary");
}

TEST(Engine, abort_returns_every_board_that_was_offered_it) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::downloading);
  view.assign("b", DeploymentState::failed);
  const auto decision = abort(*view, "aborted by uid 0");
  ASSERT_THAT(decision, IsOk());
  EXPECT_EQ(in_words(*decision), "cancel a; cancel c; aborted");
  view->rollout.state = RolloutState::done;
  EXPECT_THAT(abort(*view, ""), ErrorIs(ErrorCode::refused, HasSubstr("is done")));
}

TEST(Engine, a_withdrawn_release_stops_and_leaves_updated_boards) {
  View view(RolloutState::widening);
  view->release.state = ReleaseState::withdrawn;
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::downloading);
  EXPECT_EQ(in_words(decide(*view)), "cancel a; stopped");
  view->rollout.state = RolloutState::done;
  EXPECT_TRUE(decide(*view).empty());
}

TEST(Engine, a_revoked_release_is_taken_back_in_whatever_state_its_rollout_is) {
  for (const RolloutState state : {RolloutState::widening, RolloutState::done}) {
    View view(state);
    view->release.state = ReleaseState::revoked;
    view.canary(DeploymentState::updated);
    view.assign("a", DeploymentState::updated);
    view->superseded.insert("a");  // another rollout has it by now
    EXPECT_EQ(in_words(decide(*view)), "cancel c; stopped");
  }
}

TEST(Engine, boards_that_are_enrolled_later_get_what_is_done_last) {
  View view(RolloutState::done);
  view.canary(DeploymentState::updated);
  EXPECT_TRUE(decide(*view).empty());
  view->serves_newcomers = true;
  EXPECT_EQ(in_words(decide(*view)), "offer a int8; offer b int8; ");
}

TEST(Engine, a_revoked_board_is_waited_for_no_more) {
  View view;
  view->devices[2].revoked = now;
  view->devices[2].revoked_reason = "lost";
  view.canary(DeploymentState::downloading);
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "exclude c; stopped");
  EXPECT_EQ(decision.rollout->reason, "no canary is left");
}

TEST(Engine, where_no_variant_was_chosen_yet_nobody_is_left_out_and_nothing_is_done) {
  View view;
  view.canary(DeploymentState::updated);
  view->choices.reset();
  EXPECT_EQ(in_words(decide(*view)), "widening");
  view->rollout.state = RolloutState::widening;
  EXPECT_TRUE(decide(*view).empty());
}

TEST(Engine, a_canary_that_died_stops_it_when_patience_ends) {
  View view;
  view.canary(DeploymentState::soaking);
  view.assign("a", DeploymentState::updated).canary = true;
  view->online.erase("c");
  view->now = now + view->patience;
  view->devices[2].last_seen = now + std::chrono::hours(1);  // a connection that comes and goes
  const Decision decision = decide(*view);
  EXPECT_EQ(in_words(decision), "cancel a; cancel c; stopped");
  EXPECT_THAT(decision.rollout->reason, HasSubstr("canary c (offline) has come to no end since"));
  view->rollout.state = RolloutState::paused;
  EXPECT_EQ(in_words(decide(*view)), "");
}

// Anybody who holds the broker can say that it is at work.
TEST(Engine, a_canary_that_is_at_work_for_ever_stops_it_when_patience_ends) {
  for (const auto state : {DeploymentState::downloading, DeploymentState::measuring}) {
    View view;
    view.canary(state, false);
    view->rollout.soak = std::chrono::hours(5);
    view->now = now + view->patience + std::chrono::hours(4);
    EXPECT_EQ(in_words(decide(*view)), "canary") << "it may soak for so long";
    view->now += std::chrono::hours(1);
    EXPECT_EQ(in_words(decide(*view)), "cancel c; stopped");
  }
}

TEST(Engine, a_board_that_is_at_work_for_ever_does_not_keep_it_from_being_done) {
  View view(RolloutState::widening);
  view.canary(DeploymentState::updated);
  view.assign("a", DeploymentState::updated);
  view.assign("b", DeploymentState::downloading).confirmed = false;
  view->patience = std::chrono::seconds(0);
  EXPECT_EQ(in_words(decide(*view)), "widening") << "it needs time for its work";
  view->now = now + std::chrono::minutes(10);
  EXPECT_EQ(in_words(decide(*view)), "done");
}

TEST(Engine, nobody_is_waited_for_while_it_is_paused) {
  View view(RolloutState::paused);
  view->rollout.resume_to = RolloutState::canary;
  view.canary(DeploymentState::downloading, false);
  view->now = now + 2 * view->patience;
  const auto decision = resume(*view);
  ASSERT_THAT(decision, IsOk());
  EXPECT_EQ(in_words(*decision), "note c; canary");
  EXPECT_EQ(decision->steps[0].assignment.updated, view->now);
}

TEST(Engine, a_canary_that_stays_held_or_unmeasurable_stops_it_when_patience_ends) {
  for (const auto& [state, why] : {std::pair(DeploymentState::held, "the owner holds updates"),
                                   std::pair(DeploymentState::not_measurable, "other work")}) {
    View view;
    view.canary(state, false, why);
    view->now = now + view->patience - std::chrono::seconds(1);
    EXPECT_EQ(in_words(decide(*view)), "canary");
    view->now += std::chrono::seconds(1);
    const Decision decision = decide(*view);
    EXPECT_EQ(in_words(decision), "cancel c; stopped");
    EXPECT_EQ(decision.rollout->reason,
              "canary c (" + std::string(to_string(state)) + ") has come to no end since " +
                  to_rfc3339(now) +
                  ", longer than [rollout] patience_hours allows: " + why);
    view->rollout.state = RolloutState::paused;
    EXPECT_EQ(in_words(decide(*view)), "") << "a person has it in hand";
  }
}

TEST(Engine, without_patience_a_canary_may_still_lose_its_connection_for_a_moment) {
  View view;
  view.canary(DeploymentState::soaking);
  view->online.erase("c");
  view->patience = std::chrono::seconds(0);
  EXPECT_EQ(in_words(decide(*view)), "canary");
  view->now = now + std::chrono::hours(1);
  EXPECT_EQ(in_words(decide(*view)), "cancel c; stopped");
}

TEST(Engine, says_whom_it_waits_for) {
  View view;
  view.canary(DeploymentState::held, false, "waits for the owner");
  view->online.clear();
  EXPECT_EQ(decide(*view).rollout->reason, "waits for c: offline, HELD (waits for the owner)");
}

struct ReconcileCase {
  std::uint64_t seen;        // generation of the board's status
  std::uint64_t deployment;  // 0: none
  Need need;
};
class ReconcileTable : public ::testing::TestWithParam<ReconcileCase> {};

TEST_P(ReconcileTable, compares) {
  Assignment desired;
  desired.generation = 5;
  messages::DeviceStatus status;
  status.generation = GetParam().seen;
  if (GetParam().deployment > 0) {
    status.deployment.emplace();
    status.deployment->id.generation = GetParam().deployment;
  }
  EXPECT_EQ(compare(desired, status), GetParam().need);
}

INSTANTIATE_TEST_SUITE_P(Statuses, ReconcileTable,
                         ::testing::Values(ReconcileCase{0, 0, Need::send},
                                           ReconcileCase{4, 4, Need::send},
                                           ReconcileCase{5, 4, Need::send},
                                           ReconcileCase{4, 5, Need::send},  // by hand
                                           ReconcileCase{5, 5, Need::nothing},
                                           ReconcileCase{9, 9, Need::new_generation},
                                           ReconcileCase{9, 5, Need::new_generation}));

}  // namespace
}  // namespace outcrop::fleet
