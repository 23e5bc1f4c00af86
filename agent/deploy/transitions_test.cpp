#include "agent/deploy/transitions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/deploy/recovery.hpp"

namespace outcrop::agent {
namespace {

using S = DeploymentState;

const std::vector<S> working{S::offered, S::downloading, S::downloaded, S::verified,
                             S::proving, S::measuring,   S::updating,   S::soaking};

TEST(Transitions, every_state_at_work_can_fail_be_cancelled_and_be_resumed) {
  for (const S state : working) {
    SCOPED_TRACE(messages::to_string(state));
    EXPECT_FALSE(is_end(state));
    ASSERT_TRUE(next_state(state, Event::failed));
    EXPECT_TRUE(is_end(*next_state(state, Event::failed)));
    EXPECT_EQ(next_state(state, Event::cancelled), S::rolled_back);
    // What is written down for it can be.
    ASSERT_TRUE(next_state(told_apart(state), Event::resumed));
    EXPECT_FALSE(is_end(*next_state(told_apart(state), Event::resumed)));
  }
}

TEST(Transitions, a_failure_before_activation_is_failed_and_after_it_rolled_back) {
  EXPECT_EQ(next_state(S::measuring, Event::failed), S::failed);
  EXPECT_EQ(next_state(S::updating, Event::failed), S::rolled_back);
  EXPECT_EQ(next_state(S::soaking, Event::failed), S::rolled_back);
}

TEST(Transitions, the_straight_way_leads_from_offer_to_commit) {
  S state = S::offered;
  for (const Event event : {Event::admitted, Event::pulled, Event::verified, Event::proving_starts,
                            Event::proved, Event::chosen, Event::activated, Event::soaked}) {
    const auto next = next_state(state, event);
    ASSERT_TRUE(next) << to_string(event);
    state = *next;
  }
  EXPECT_EQ(state, S::updated);
}

TEST(Transitions, nothing_is_activated_that_was_not_proved) {
  for (const S state : {S::downloading, S::downloaded, S::verified, S::proving}) {
    EXPECT_EQ(next_state(state, Event::chosen), std::nullopt);
    EXPECT_EQ(next_state(state, Event::activated), std::nullopt);
  }
}

TEST(Transitions, an_end_is_left_only_by_what_takes_a_release_away) {
  for (const S state : {S::rejected, S::failed, S::rolled_back, S::not_measurable}) {
    for (int event = 0; event <= static_cast<int>(Event::resumed); ++event) {
      EXPECT_EQ(next_state(state, static_cast<Event>(event)), std::nullopt);
    }
  }
  EXPECT_EQ(next_state(S::updated, Event::serving_lost), S::rolled_back);
}

TEST(Transitions, every_event_has_a_name) {
  EXPECT_EQ(to_string(Event::refused), "refused");
  EXPECT_EQ(to_string(Event::accepted_unmeasured), "accepted unmeasured");
  EXPECT_EQ(to_string(Event::resumed), "resumed");
}

TEST(Recovery, resumes_what_was_at_work_and_gives_up_after_three_deaths) {
  for (const S state : working) {
    SCOPED_TRACE(messages::to_string(state));
    EXPECT_EQ(recovery_from(state, false, 0, 0).action, Recovery::Action::resume);
    EXPECT_EQ(recovery_from(state, false, 2, 0).action, Recovery::Action::resume);
    const Recovery last = recovery_from(state, false, 3, 0);
    EXPECT_EQ(last.action, Recovery::Action::give_up);
    EXPECT_THAT(last.reason, ::testing::HasSubstr(std::string(messages::to_string(state))));
  }
}

TEST(Recovery, bears_many_more_power_cuts_than_crashes) {
  EXPECT_EQ(recovery_from(S::proving, false, 2, 19).action, Recovery::Action::resume);
  const Recovery last = recovery_from(S::proving, false, 0, 20);
  EXPECT_EQ(last.action, Recovery::Action::give_up);
  EXPECT_EQ(last.reason, "the board went off 20 times in the state PROVING");
}

TEST(Recovery, knows_the_boot_that_it_runs_in) {
  EXPECT_EQ(this_boot().size(), 36U);
  EXPECT_EQ(this_boot(), this_boot());
}

TEST(Recovery, leaves_ends_alone_and_waits_for_the_owner) {
  for (const S state : {S::rejected, S::updated, S::failed, S::rolled_back, S::not_measurable}) {
    EXPECT_EQ(recovery_from(state, false, 9, 99).action, Recovery::Action::nothing);
  }
  EXPECT_EQ(recovery_from(S::held, true, 9, 99).action, Recovery::Action::wait);
  EXPECT_EQ(recovery_from(S::held, false, 9, 99).action, Recovery::Action::nothing);
}

}  // namespace
}  // namespace outcrop::agent
