#include "trainer_host/fleet/rollout/driver.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <set>

#include "protocol/base/version.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

// The driver on a real database, with boards that say nothing but their status.

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t highest_generation = (std::uint64_t{1} << 53) - 1;

class SettableClock : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return SystemClock().now() + by; }
  std::chrono::seconds by{0};
};

class DriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    auto blobs = BlobStore::open(folder_.path() / "blobs");
    ASSERT_THAT(registry, IsOk());
    ASSERT_THAT(blobs, IsOk());
    registry_ = std::move(*registry);
    RolloutSurroundings surroundings;
    surroundings.online = [this](const std::string& device) { return online_.contains(device); };
    surroundings.snapshot_version = [] { return std::uint64_t{1}; };
    surroundings.send = [this](const std::string& device, const messages::Command& command) {
      sent_.push_back((std::holds_alternative<messages::Offer>(command) ? "offer " : "cancel ") +
                      device);
      protocols_[device] = std::visit([](const auto& c) { return c.protocol; }, command);
    };
    surroundings.wake = [this] { woken_ = true; };
    begin_ = [this, surroundings, blobs = *blobs]() mutable {
      surroundings.lot = lot_;
      driver_.emplace(*registry_, clock_, blobs, surroundings, std::chrono::hours(24));
    };
    begin_();
    ReleaseRecord release;
    release.manifest = trust::sha256("m");
    release.manifest_size = ByteCount(3000);
    release.model = "curvefault";
    ASSERT_THAT(registry_->save(release), IsOk());
  }

  // The manifest of a release whose blob is here, as it must be to be offered.
  std::string uploaded_manifest() {
    std::ifstream file(std::string(OUTCROP_SOURCE) + "/protocol/messages/golden/v1/manifest.json");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    auto blobs = BlobStore::open(folder_.path() / "blobs");
    EXPECT_THAT(blobs->upload(trust::sha256(text), ByteCount(text.size()), ByteCount(0), as_bytes(text)), IsOk());
    return text;
  }

  // Online, and says that it has seen this generation.
  void board(const std::string& name, std::uint64_t generation) {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{7}))->public_key();
    device.status.emplace();
    device.status->device = name;
    device.status->session = 1;
    device.status->online = true;
    device.status->agent = "0.1.0";
    device.status->model = device.model;
    device.status->device_class = device.device_class;
    device.status->generation = generation;
    device.signs = signs_;
    ASSERT_THAT(registry_->save(device), IsOk());
    online_.insert(name);
  }
  void rollout(RolloutState state) {
    RolloutRecord rollout;
    rollout.name = "r";
    rollout.model = "curvefault";
    rollout.manifest = trust::sha256("m");
    rollout.state = state;
    rollout.byte_budget = ByteCount(2'000'000);
    ASSERT_THAT(registry_->save(rollout), IsOk());
  }
  void canary(const std::string& device, std::uint64_t generation,
              std::optional<DeploymentState> state = {}) {
    Assignment assignment;
    assignment.rollout = "r";
    assignment.device = device;
    assignment.canary = true;
    assignment.manifest = trust::sha256("m");
    assignment.generation = generation;
    assignment.state = state;
    assignment.updated = clock_.now();
    ASSERT_THAT(registry_->save(assignment), IsOk());
  }
  Assignment at(const std::string& device) { return **registry_->assignment("r", device); }
  RolloutRecord rollout() { return **registry_->rollout("r"); }

  TemporaryFolder folder_;
  SettableClock clock_;
  std::unique_ptr<Registry> registry_;
  std::optional<RolloutDriver> driver_;
  std::function<void()> begin_;  // as outcropd does after a kill
  std::size_t lot_ = 64;
  bool woken_ = false;
  std::set<std::string> online_;
  std::vector<std::string> sent_;
  std::map<std::string, int> protocols_;  // of the last command to each board
  bool signs_ = true;                     // boards sign their status
};

TEST_F(DriverTest, a_board_without_generations_left_is_left_out_and_the_others_are_offered_it) {
  board("greedy", highest_generation);
  board("other", 0);
  rollout(RolloutState::canary);
  canary("greedy", 0);
  canary("other", 0);
  driver_->tick();
  EXPECT_THAT(sent_, ElementsAre("offer other"));
  EXPECT_TRUE(at("greedy").excluded);
  EXPECT_THAT(at("greedy").reason, HasSubstr("enrol it anew"));
}

TEST_F(DriverTest, a_number_that_nobody_signed_and_nobody_gave_out_says_nothing) {
  signs_ = false;
  board("old", highest_generation);  // as anybody may say who holds the broker
  rollout(RolloutState::canary);
  canary("old", 0);
  driver_->tick();
  EXPECT_THAT(sent_, ElementsAre("offer old"));
  EXPECT_EQ(at("old").generation, 1U);
  driver_->reconcile();
  EXPECT_EQ(at("old").generation, 1U) << "nor at the next look";
}

TEST_F(DriverTest, a_board_without_generations_left_does_not_keep_the_others_from_being_returned) {
  board("failed", 4);
  board("greedy", highest_generation);
  board("other", 6);
  rollout(RolloutState::canary);
  canary("failed", 4, DeploymentState::failed);
  canary("greedy", 5, DeploymentState::measuring);
  canary("other", 6, DeploymentState::measuring);
  driver_->tick();
  EXPECT_THAT(sent_, ElementsAre("cancel other"));
  EXPECT_EQ(rollout().state, RolloutState::stopped);
}

TEST_F(DriverTest, a_board_that_comes_back_to_a_paused_rollout_is_offered_it_when_it_resumes) {
  board("back", 0);
  rollout(RolloutState::paused);
  canary("back", 5);
  driver_->on_status("back", false);
  driver_->reconcile();
  EXPECT_THAT(sent_, IsEmpty());
  ASSERT_THAT(driver_->resume("r"), IsOk());
  EXPECT_THAT(sent_, ElementsAre("offer back"));
}

TEST_F(DriverTest, a_rollout_that_was_stopped_offers_nothing_again_and_still_takes_back) {
  board("failed", 9);  // has seen a higher one, of a database that was lost since
  board("returned", 0);
  rollout(RolloutState::stopped);
  canary("failed", 4, DeploymentState::failed);
  canary("returned", 5);
  Assignment cancelled = at("returned");
  cancelled.cancelled = true;
  ASSERT_THAT(registry_->save(cancelled), IsOk());
  driver_->reconcile();
  EXPECT_THAT(sent_, ElementsAre("cancel returned"));
  EXPECT_EQ(at("failed").state, DeploymentState::failed);
}

TEST_F(DriverTest, offers_and_cancels_in_the_highest_protocol_that_both_speak) {
  for (const char* name : {"unheard", "older", "same", "newer"}) board(name, 0);
  const auto speaks = [&](const std::string& name, int protocol) {
    Device device = **registry_->device(name);
    device.status->speaks = protocol;
    ASSERT_THAT(registry_->save(device), IsOk());
  };
  speaks("older", 1);
  speaks("same", protocol_version);
  speaks("newer", protocol_version + 1);
  Device unheard = **registry_->device("unheard");
  unheard.status.reset();
  ASSERT_THAT(registry_->save(unheard), IsOk());
  rollout(RolloutState::canary);
  for (const char* name : {"unheard", "older", "same", "newer"}) canary(name, 0);
  driver_->tick();
  const std::map<std::string, int> expected{
      {"unheard", 1}, {"older", 1}, {"same", protocol_version}, {"newer", protocol_version}};
  EXPECT_EQ(protocols_, expected);

  protocols_.clear();
  ASSERT_THAT(driver_->abort("r"), IsOk());
  EXPECT_EQ(protocols_, expected);
}

// No variant can be chosen here, since the manifest is not in the store: nobody is left out for
// that.
TEST_F(DriverTest, no_newcomer_is_left_out_before_a_variant_was_chosen_for_its_class) {
  board("canary", 5);
  board("newcomer", 0);
  rollout(RolloutState::paused);
  RolloutRecord widening = rollout();
  widening.resume_to = RolloutState::widening;
  ASSERT_THAT(registry_->save(widening), IsOk());
  canary("canary", 5, DeploymentState::updated);  // by its own word: no report confirms it yet
  EXPECT_FALSE(driver_->resume("r"));
  EXPECT_FALSE(registry_->assignment("r", "newcomer")->has_value());
}

TEST_F(DriverTest, when_the_last_unfinished_canary_is_revoked_nobody_is_left_out_for_that) {
  board("good", 5);
  board("stolen", 6);
  board("rest", 0);
  rollout(RolloutState::canary);
  canary("good", 5, DeploymentState::updated);
  Assignment good = at("good");
  good.confirmed = true;
  ASSERT_THAT(registry_->save(good), IsOk());
  canary("stolen", 6, DeploymentState::measuring);
  Device stolen = **registry_->device("stolen");
  stolen.revoked = clock_.now();
  ASSERT_THAT(registry_->save(stolen), IsOk());
  driver_->tick();
  EXPECT_FALSE(registry_->assignment("r", "rest")->has_value());
  EXPECT_FALSE(has_ended(rollout().state));
}

TEST_F(DriverTest, a_state_that_is_older_than_the_fleet_offers_nothing_until_it_is_adopted) {
  board("ahead", 4);
  board("behind", 2);
  rollout(RolloutState::done);
  canary("ahead", 4, DeploymentState::updated);
  canary("behind", 3);  // was offered, and has not seen it
  ASSERT_THAT(registry_->raise_generation(4), IsOk());
  board("ahead", 9);
  board("also-ahead", 9);
  driver_->on_status("ahead", false);
  driver_->on_status("also-ahead", false);
  driver_->on_status("behind", false);
  driver_->tick();
  driver_->reconcile();
  EXPECT_THAT(sent_, IsEmpty());
  RolloutRequest request;
  request.manifest = trust::sha256("m").hex();
  EXPECT_THAT(driver_->start(request),
              ErrorIs(ErrorCode::refused, HasSubstr("ahead has seen generation 9 (here: 4)")));
  ASSERT_THAT(driver_->adopt(), IsOk());
  driver_->reconcile();
  driver_->tick();
  EXPECT_THAT(sent_, IsEmpty()) << "boards keep what they serve";
  EXPECT_EQ(rollout().state, RolloutState::done);

  ReleaseRecord revoked = **registry_->release(trust::sha256("m"));
  revoked.state = ReleaseState::revoked;
  ASSERT_THAT(registry_->save(revoked), IsOk());
  driver_->tick();
  EXPECT_THAT(sent_, ElementsAre("cancel behind"));
}

TEST_F(DriverTest, one_board_that_claims_to_have_seen_more_keeps_nobody_else_from_what_is_offered) {
  board("hostile", 2);
  board("rest", 2);
  rollout(RolloutState::done);
  canary("hostile", 3);
  canary("rest", 3);
  ASSERT_THAT(registry_->raise_generation(3), IsOk());
  board("hostile", 9);
  driver_->on_status("hostile", false);
  EXPECT_THAT(driver_->behind_fleet().check(), IsOk());
  driver_->on_status("rest", false);
  EXPECT_THAT(sent_, ElementsAre("offer rest"));
  // Nor does it get anything by taking its word back.
  board("hostile", 2);
  driver_->on_status("hostile", false);
  driver_->reconcile();
  EXPECT_THAT(sent_, Each(HasSubstr("rest")));
}

TEST_F(DriverTest, a_board_of_another_model_takes_no_newcomers_place) {
  board("canary", 5);
  board("moved", 0);
  board("newcomer", 0);
  rollout(RolloutState::done);
  canary("canary", 5, DeploymentState::updated);
  canary("moved", 4);
  Device moved = **registry_->device("moved");
  moved.model = "another";
  ASSERT_THAT(registry_->save(moved), IsOk());
  driver_->tick();
  EXPECT_FALSE(registry_->assignment("r", "newcomer")->has_value());
}

// The newest rollout that is done may be of a release that nobody may install any more.
TEST_F(DriverTest, a_withdrawn_newer_release_does_not_keep_new_boards_from_the_one_before) {
  const std::string text = uploaded_manifest();
  const auto done = [&](const std::string& name, const std::string& release, ReleaseState state) {
    ReleaseRecord record;
    record.manifest = trust::sha256(release);
    record.model = "curvefault";
    record.state = state;
    ASSERT_THAT(registry_->save(record), IsOk());
    RolloutRecord rollout;
    rollout.name = name;
    rollout.model = "curvefault";
    rollout.manifest = record.manifest;
    rollout.state = RolloutState::done;
    rollout.ended = clock_.now();
    ASSERT_THAT(registry_->save(rollout), IsOk());
  };
  done("before", text, ReleaseState::published);
  done("newest", "bad", ReleaseState::withdrawn);
  board("new", 0);
  driver_->tick();
  const auto assigned = registry_->assignment("before", "new");
  ASSERT_THAT(assigned, IsOk());
  EXPECT_TRUE(assigned->has_value()) << "it is taken note of, whatever canaries measured";
  EXPECT_FALSE(registry_->assignment("newest", "new")->has_value());
}

// The older one goes on for those whom the newer one is not for.
TEST_F(DriverTest, newcomers_belong_to_the_newest_rollout_that_is_for_them) {
  const std::string text = uploaded_manifest();
  ReleaseRecord record;
  record.manifest = trust::sha256(text);
  record.model = "curvefault";
  ASSERT_THAT(registry_->save(record), IsOk());
  for (const char* name : {"all", "lab"}) {
    RolloutRecord rollout;
    rollout.name = name;
    rollout.model = "curvefault";
    rollout.manifest = record.manifest;
    rollout.state = RolloutState::done;
    rollout.ended = clock_.now();
    if (rollout.name == "lab") rollout.target.tag = "lab";
    ASSERT_THAT(registry_->save(rollout), IsOk());
  }
  board("one", 0);
  board("two", 0);
  ASSERT_EQ(registry_->save_tags("two", {"lab"}), true);
  driver_->tick();
  EXPECT_TRUE(registry_->assignment("all", "one")->has_value());
  EXPECT_FALSE(registry_->assignment("lab", "one")->has_value());
  EXPECT_TRUE(registry_->assignment("lab", "two")->has_value());
  EXPECT_FALSE(registry_->assignment("all", "two")->has_value());
  ASSERT_EQ(registry_->save_tags("one", {"lab"}), true);
  driver_->tick();
  EXPECT_TRUE(registry_->assignment("lab", "one")->has_value()) << "it got the tag later";
}

TEST_F(DriverTest, a_clock_that_leaps_makes_no_board_silent) {
  board("canary", 4);
  rollout(RolloutState::canary);
  canary("canary", 4, DeploymentState::measuring);
  driver_->tick();
  clock_.by = std::chrono::days(30);
  driver_->tick();
  EXPECT_EQ(rollout().state, RolloutState::canary) << "patience is not over: a moment went by";
  EXPECT_GT(at("canary").updated, clock_.now() - std::chrono::minutes(1));
  clock_.by = std::chrono::seconds(0);
  driver_->tick();
  EXPECT_LE(at("canary").updated, clock_.now()) << "and not in the future when it is set back";
  EXPECT_EQ(rollout().state, RolloutState::canary);
}

TEST_F(DriverTest, boards_are_taken_back_in_lots_each_of_them_once_over_a_kill) {
  lot_ = 2;
  begin_();
  rollout(RolloutState::canary);
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    board(name, 0);
    canary(name, *registry_->next_generation(), DeploymentState::downloading);
  }
  ASSERT_THAT(driver_->abort("r"), IsOk());
  EXPECT_THAT(sent_, ElementsAre("cancel a", "cancel b"));
  EXPECT_EQ(rollout().state, RolloutState::aborted);
  EXPECT_EQ(rollout().takes_back, TakeBack::all) << "written before anybody was told";
  EXPECT_TRUE(std::exchange(woken_, false)) << "the next lot comes soon";
  begin_();
  driver_->tick();
  EXPECT_THAT(sent_, ElementsAre("cancel a", "cancel b", "cancel c", "cancel d"));
  EXPECT_TRUE(std::exchange(woken_, false));
  driver_->tick_changed();
  EXPECT_THAT(sent_, ElementsAre("cancel a", "cancel b", "cancel c", "cancel d", "cancel e"));
  EXPECT_EQ(rollout().takes_back, TakeBack::nothing);
  EXPECT_FALSE(woken_);
  driver_->tick();
  EXPECT_EQ(sent_.size(), 5U);
}

TEST_F(DriverTest, decides_only_on_the_rollouts_that_something_was_said_about) {
  board("one", 4);
  board("two", 5);
  board("three", 6);
  rollout(RolloutState::canary);
  canary("one", 4, DeploymentState::measuring);
  canary("three", 6, DeploymentState::measuring);  // no variant is chosen yet
  RolloutRecord other = rollout();
  other.name = "other";
  other.model = "layers";
  ASSERT_THAT(registry_->save(other), IsOk());
  Assignment failed = at("one");
  failed.rollout = "other";
  failed.device = "two";
  failed.generation = 5;
  failed.state = DeploymentState::failed;
  ASSERT_THAT(registry_->save(failed), IsOk());
  Statement statement;
  statement.deployment = {"r", 4, trust::sha256("m")};
  statement.state = DeploymentState::failed;
  statement.message = {1, 9};
  statement.is_signed = true;
  driver_->tick_changed();
  EXPECT_EQ(rollout().state, RolloutState::canary) << "nothing was said yet";
  driver_->on_statement("one", statement);
  driver_->tick_changed();
  EXPECT_EQ(rollout().state, RolloutState::stopped);
  EXPECT_EQ((*registry_->rollout("other"))->state, RolloutState::canary);
  driver_->tick();
  EXPECT_EQ((*registry_->rollout("other"))->state, RolloutState::stopped);
}

}  // namespace
}  // namespace outcrop::fleet
