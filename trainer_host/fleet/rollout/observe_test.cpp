#include <gtest/gtest.h>

#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;

constexpr Timestamp seen_at{std::chrono::seconds(1000)};

Assignment offered() {
  Assignment assignment;
  assignment.rollout = "r";
  assignment.generation = 5;
  return assignment;
}

Statement says(DeploymentState state, messages::MessageId message, bool is_signed = false,
               std::uint64_t generation = 5) {
  return {{"r", generation, {}}, state, "", message, is_signed};
}

TEST(Observe, keeps_the_first_figure_that_a_board_signs) {
  Assignment assignment = offered();
  Statement measured = says(DeploymentState::measuring, {1, 1});
  measured.slowdown = {1.5, 1.4};
  (void)observe(assignment, measured, seen_at);
  EXPECT_EQ(assignment.slowdown, std::nullopt) << "nobody signed it";
  measured.is_signed = true;
  EXPECT_TRUE(observe(assignment, measured, seen_at));
  EXPECT_EQ(assignment.slowdown, messages::Slowdown(1.5, 1.4));
  Statement again = says(DeploymentState::updated, {1, 2}, true);
  again.slowdown = {0.5, 0.5};
  EXPECT_TRUE(observe(assignment, again, seen_at));
  EXPECT_EQ(assignment.slowdown, messages::Slowdown(1.5, 1.4)) << "a board does not measure until it likes the result";
}

TEST(Observe, shows_where_the_work_is) {
  Assignment assignment = offered();
  EXPECT_TRUE(observe(assignment, says(DeploymentState::downloading, {1, 0}), seen_at));
  EXPECT_EQ(assignment.state, DeploymentState::downloading);
  EXPECT_FALSE(assignment.confirmed);
  EXPECT_FALSE(observe(assignment, says(DeploymentState::downloading, {1, 0}), seen_at));
}

// Whoever holds the broker may write status and progress.
TEST(Observe, believes_no_end_that_nobody_signed) {
  for (const auto state :
       {DeploymentState::updated, DeploymentState::failed, DeploymentState::rejected,
        DeploymentState::rolled_back, DeploymentState::held, DeploymentState::not_measurable}) {
    Assignment assignment = offered();
    EXPECT_FALSE(observe(assignment, says(state, {1, 0}), seen_at));
    EXPECT_EQ(assignment.state, std::nullopt);
    EXPECT_TRUE(observe(assignment, says(state, {1, 1}, true), seen_at));
    EXPECT_FALSE(observe(assignment, says(DeploymentState::downloading, {9, 9}), seen_at) &&
                 state != DeploymentState::held)
        << "nor takes an end back";
  }
}

TEST(Observe, what_nobody_signed_moves_no_deadline_and_no_number) {
  Assignment assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::measuring, {1, 3}, true), seen_at));
  const std::uint64_t highest = (std::uint64_t{1} << 53) - 1;
  EXPECT_TRUE(observe(assignment, says(DeploymentState::updating, {highest, highest}),
                      seen_at + std::chrono::hours(1)));
  EXPECT_EQ(assignment.updated, seen_at);
  EXPECT_TRUE(observe(assignment, says(DeploymentState::updated, {1, 4}, true), seen_at));
}

// A broker may send a signed report again as often as it likes.
TEST(Observe, what_is_said_again_moves_no_deadline) {
  Assignment assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::held, {1, 3}, true), seen_at));
  (void)observe(assignment, says(DeploymentState::downloading, {1, 9}), seen_at + std::chrono::hours(1));
  EXPECT_TRUE(observe(assignment, says(DeploymentState::held, {1, 3}, true), seen_at + std::chrono::hours(2)));
  EXPECT_EQ(assignment.updated, seen_at);
}

TEST(Observe, ignores_other_generations_and_rollouts) {
  Assignment assignment = offered();
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 0}, true, 4), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 0}, true, 6), seen_at));
  assignment.rollout = "s";
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 0}), seen_at));
  assignment = offered();
  assignment.generation = 0;
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 0}, true, 0), seen_at));
}

TEST(Observe, held_for_the_owner_confirms_nothing_and_held_after_measuring_does) {
  Assignment assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::held, {1, 2}, true), seen_at));
  EXPECT_FALSE(assignment.confirmed);
  Statement measured = says(DeploymentState::held, {1, 9}, true);
  measured.measured = true;
  EXPECT_TRUE(observe(assignment, measured, seen_at));
  EXPECT_TRUE(assignment.confirmed);
  EXPECT_FALSE(observe(assignment, says(DeploymentState::offered, {1, 10}), seen_at));
  assignment.confirmed = false;
  EXPECT_TRUE(observe(assignment, says(DeploymentState::offered, {1, 10}), seen_at))
      << "its owner agreed";
}

TEST(Observe, an_older_message_that_comes_late_changes_nothing) {
  Assignment assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::proving, {2, 8}, true), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::failed, {2, 7}, true), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::measuring, {1, 99}, true), seen_at));
  EXPECT_EQ(assignment.state, DeploymentState::proving);
}

TEST(Observe, what_is_final_stays_but_can_be_rolled_back) {
  Assignment assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::updated, {1, 3}, true), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::measuring, {1, 4}, true), seen_at));
  EXPECT_TRUE(observe(assignment, says(DeploymentState::rolled_back, {1, 5}, true), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 6}, true), seen_at));
  assignment = offered();
  ASSERT_TRUE(observe(assignment, says(DeploymentState::failed, {1, 1}, true), seen_at));
  EXPECT_FALSE(observe(assignment, says(DeploymentState::updated, {1, 2}, true), seen_at));
  EXPECT_TRUE(observe(assignment, says(DeploymentState::rolled_back, {1, 3}, true), seen_at));
}

}  // namespace
}  // namespace outcrop::fleet
