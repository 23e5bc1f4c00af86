#include "trainer_host/fleet/rollout/behind_fleet.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class BehindFleetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_ = std::move(*open_sqlite_registry(folder_.path() / "registry.sqlite"));
    for (int i = 0; i < 4; ++i) ASSERT_THAT(registry_->next_generation(), IsOk());
    ReleaseRecord release;
    release.manifest = trust::sha256("m");
    release.model = "curvefault";
    ASSERT_THAT(registry_->save(release), IsOk());
    for (const auto& [name, state] :
         {std::pair("done", RolloutState::done), std::pair("wide", RolloutState::widening)}) {
      RolloutRecord rollout;
      rollout.name = name;
      rollout.model = "curvefault";
      rollout.manifest = release.manifest;
      rollout.state = state;
      ASSERT_THAT(registry_->save(rollout), IsOk());
    }
  }
  Device board(std::uint64_t generation, std::uint64_t snapshot = 3, std::uint64_t root = 1, const std::string& name = "pi-1") {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{7}))->public_key();
    device.status.emplace();
    device.status->device = device.name;
    device.status->agent = "0.1.0";
    device.status->model = device.model;
    device.status->device_class = device.device_class;
    device.status->generation = generation;
    device.status->snapshot_version = snapshot;
    device.status->root_version = root;
    EXPECT_THAT(registry_->save(device), IsOk());
    return device;
  }
  BehindFleet behind() { return {*registry_, clock_}; }
  bool is_behind() { return !behind().check().has_value(); }

  TemporaryFolder folder_;
  SystemClock clock_;
  std::unique_ptr<Registry> registry_;
  KnownVersions known_{1, 3};
};

TEST_F(BehindFleetTest, a_board_that_has_seen_no_more_shows_nothing) {
  EXPECT_EQ(behind().look_at(board(4), false, known_), false);
  EXPECT_FALSE(is_behind());
  EXPECT_THAT(behind().adopt(), ErrorIs(ErrorCode::refused, HasSubstr("nothing to adopt")));
}

TEST_F(BehindFleetTest, a_board_that_has_seen_more_holds_everything_until_it_is_adopted) {
  EXPECT_EQ(behind().look_at(board(12, 9), false, known_), true);
  EXPECT_THAT(behind().check(),
              ErrorIs(ErrorCode::refused,
                      AllOf(HasSubstr("this state is older than the fleet: pi-1 has seen "
                                      "generation 12 (here: 4), snapshot 9 (here: 3)"),
                            HasSubstr("outcrop keys publish"), HasSubstr("outcrop fleet adopt"))));
  EXPECT_EQ(behind().look_at(board(40), false, known_), true);
  ASSERT_THAT(behind().adopt(), IsOk());
  EXPECT_FALSE(is_behind());
  EXPECT_GT(*registry_->last_generation(), 1'000'000U);
  const auto rollouts = registry_->rollouts();
  for (const RolloutRecord& rollout : *rollouts) {
    EXPECT_TRUE(rollout.past && has_ended(rollout.state)) << rollout.name;
  }
  EXPECT_EQ((*registry_->rollout("done"))->state, RolloutState::done);
  EXPECT_EQ(behind().look_at(board(41), false, known_), false) << "one that was away meanwhile";
}

TEST_F(BehindFleetTest, snapshot_and_root_show_it_as_well) {
  EXPECT_EQ(behind().look_at(board(4, 4), false, known_), true);
  ASSERT_THAT(behind().adopt(), IsOk());
  EXPECT_EQ(behind().look_at(board(4, 3, 2), false, known_), true);
}

TEST_F(BehindFleetTest, a_snapshot_of_before_the_newest_root_shows_nothing) {
  EXPECT_EQ(behind().look_at(board(4, 9, 1), false, {2, 1}), false);
}

TEST_F(BehindFleetTest, a_board_that_comes_from_elsewhere_shows_nothing_and_is_counted_above) {
  EXPECT_EQ(behind().look_at(board(12), true, known_), false);
  EXPECT_EQ(*registry_->last_generation(), 12U);
  EXPECT_EQ(behind().look_at(board(12), false, known_), false);
}

// Others refuse numbers that leap, and would obey nobody any more.
TEST_F(BehindFleetTest, one_board_does_not_use_up_the_numbers_of_others) {
  constexpr std::uint64_t far = std::uint64_t{1} << 30;
  EXPECT_EQ(behind().look_at(board(4 + far), true, known_), false);
  EXPECT_EQ(*registry_->last_generation(), 4U);
  ASSERT_EQ(behind().look_at(board(4 + far), false, known_), true);
  ASSERT_THAT(behind().adopt(), IsOk());
  EXPECT_FALSE(messages::leaps(*registry_->last_generation(), 4));
}

std::map<std::string, std::uint64_t> lists_seen(const std::vector<Device>& boards, bool signing,
                                                const std::map<std::string, std::uint64_t>& here) {
  std::map<std::string, std::uint64_t> seen;
  for (const Device& board : boards) add_list_seen(board, signing, here, seen);
  return seen;
}

TEST_F(BehindFleetTest, lists_of_releases_are_to_be_signed_above_what_boards_have_seen_of_them) {
  Device seen = board(4);
  seen.status->stage_version = 12;
  seen.signs = true;
  const std::map<std::string, std::uint64_t> none, newest{{"curvefault", 12}}, older{{"curvefault", 8}};
  EXPECT_EQ(lists_seen({board(4), seen}, true, older), newest);
  EXPECT_EQ(lists_seen({seen}, true, none), newest);
  EXPECT_EQ(lists_seen({seen}, true, newest), none);
  seen.signs = false;
  EXPECT_EQ(lists_seen({seen}, true, older), none) << "whoever holds the broker says so";
  EXPECT_EQ(lists_seen({seen}, false, older), newest);
  for (const std::uint64_t much : {(std::uint64_t{1} << 53) - 1, std::uint64_t{1} << 29}) {
    seen.status->stage_version = much;
    EXPECT_EQ(lists_seen({seen}, false, older), none) << "nobody can have seen that";
  }
  seen.status->stage_version = 12;
  seen.revoked = clock_.now();
  EXPECT_EQ(lists_seen({seen}, false, older), none);
}

TEST_F(BehindFleetTest, what_nobody_can_have_seen_is_not_believed) {
  constexpr std::uint64_t highest = (std::uint64_t{1} << 53) - 1;
  EXPECT_EQ(behind().look_at(board(highest, highest, highest), false, known_), false);
  EXPECT_EQ(behind().look_at(board(highest), true, known_), false);
  EXPECT_EQ(*registry_->last_generation(), 4U);
}

// It signs what it likes about itself, and nobody else signed it.
TEST_F(BehindFleetTest, one_hostile_board_of_several_is_held_and_the_others_go_on) {
  for (int i = 2; i <= 4; ++i) board(4, 3, 1, "pi-" + std::to_string(i));
  BehindFleet behind{*registry_, clock_};
  EXPECT_EQ(behind.look_at(board(12, 9), false, known_), true);
  EXPECT_EQ(behind.holds("pi-1"), true);
  EXPECT_EQ(behind.holds("pi-2"), false);
  EXPECT_THAT(behind.check(), IsOk());
  EXPECT_THAT(**behind.words_of_few(), AllOf(HasSubstr("nobody but pi-1"), HasSubstr("generation 12 (here: 4)"), HasSubstr("outcrop device revoke pi-1")));
  EXPECT_EQ(behind.look_at(board(4), false, known_), true) << "held until a person says so";
  // Whom a second one bears out is believed, and a restart forgets neither.
  EXPECT_EQ(behind.look_at(board(13, 9, 1, "pi-2"), false, known_), true);
  EXPECT_THAT(behind.check(), ErrorIs(ErrorCode::refused, HasSubstr("and 1 other board says so")));
  EXPECT_TRUE(is_behind());
  EXPECT_EQ(behind.words_of_few()->has_value(), false);
  // Once one of the two is revoked, the other is alone again.
  Device liar = board(13, 9, 1, "pi-2");
  liar.revoked = clock_.now();
  ASSERT_THAT(registry_->save(liar), IsOk());
  EXPECT_FALSE(is_behind());
  ASSERT_THAT(behind.adopt(), IsOk());
  EXPECT_EQ(behind.holds("pi-1"), false);
}

TEST_F(BehindFleetTest, a_tenth_of_the_boards_is_believed) {
  for (const auto& [enrolled, enough] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 1}, {1, 1}, {2, 2}, {20, 2}, {21, 3}, {160, 16}, {10'000, 16}}) {
    EXPECT_EQ(boards_to_believe(enrolled), enough) << enrolled;
  }
}

TEST_F(BehindFleetTest, the_word_of_a_board_that_was_revoked_since_costs_no_rollout) {
  Device liar = board(12);
  ASSERT_EQ(behind().look_at(liar, false, known_), true);
  liar.revoked = clock_.now();
  ASSERT_THAT(registry_->save(liar), IsOk());
  ASSERT_THAT(behind().adopt(), IsOk());
  EXPECT_FALSE(is_behind());
  EXPECT_EQ((*registry_->rollout("wide"))->state, RolloutState::widening);
}

}  // namespace
}  // namespace outcrop::fleet
