#include "trainer_host/fleet/monitor/asker.hpp"

#include <gmock/gmock.h>

#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AskerTest : public ::testing::Test, public Clock {
 protected:
  Timestamp now() const override { return now_; }
  void SetUp() override {
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    ASSERT_THAT(registry, IsOk());
    registry_ = std::move(*registry);
  }
  void begin(const AskerConfig& config) {
    Asker::Surroundings surroundings;
    surroundings.online = [this](const std::string& device) { return !offline_.contains(device); };
    surroundings.signs_for = [](const Device& device) { return device.signs; };
    surroundings.send = [this](const std::string& device, const messages::Command& command) {
      if (const auto* draw = std::get_if<messages::Draw>(&command)) {
        drawing_.push_back(device);
        manifest_ = draw->manifest;
        return;
      }
      (std::holds_alternative<messages::Watch>(command) ? watched_ : measured_).push_back(device);
      if (const auto* watch = std::get_if<messages::Watch>(&command)) interval_ = watch->interval;
      if (const auto* measure = std::get_if<messages::Measure>(&command)) {
        manifest_ = measure->manifest;
        asked_for_layers_ = measure->layers && messages::parse_command(to_json(command));
      }
    };
    surroundings.leave = [this](const std::string& device, const messages::Command& command, Timestamp until) {
      EXPECT_TRUE(std::holds_alternative<messages::Move>(command));
      EXPECT_EQ(until, now_ + std::chrono::hours(1));
      moved_.push_back(device);
    };
    asker_.emplace(*registry_, *this, config, surroundings);
  }
  void board(const std::string& name, const std::string& device_class, std::uint64_t session = 1,
             bool serves = true) {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = device_class;
    device.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{7}))->public_key();
    device.signs = name != "old";
    device.status.emplace();
    device.status->device = name;
    device.status->session = session;
    device.status->agent = "0.1.0";
    device.status->speaks = name == "before" ? 5 : protocol_version;
    device.status->model = device.model;
    device.status->device_class = device_class;
    if (serves) device.status->active_manifest = trust::sha256("m");
    ASSERT_THAT(registry_->save(device), IsOk());
  }

  TemporaryFolder folder_;
  Timestamp now_{std::chrono::hours(500'000)};
  std::unique_ptr<Registry> registry_;
  std::set<std::string> offline_;
  std::optional<Asker> asker_;
  std::vector<std::string> watched_;
  std::vector<std::string> measured_;
  bool asked_for_layers_ = false;
  std::vector<std::string> moved_;
  std::vector<std::string> drawing_;
  std::chrono::seconds interval_{0};
  std::optional<trust::Sha256Digest> manifest_;
};

TEST_F(AskerTest, asks_a_board_when_its_agent_starts_and_before_the_watch_is_over) {
  begin({std::chrono::seconds(120), {}});
  board("pi-1", "pi");
  board("old", "pi");
  asker_->on_status("pi-1");
  asker_->on_status("pi-1");
  asker_->on_status("old");
  asker_->on_status("nobody");
  EXPECT_THAT(watched_, ElementsAre("pi-1")) << "once a session, and none that is not signed for";
  EXPECT_EQ(interval_, std::chrono::seconds(120));
  board("pi-1", "pi", 2);
  asker_->on_status("pi-1");
  EXPECT_EQ(watched_.size(), 2U);
  now_ += std::chrono::hours(11);
  asker_->tick();
  EXPECT_EQ(watched_.size(), 2U);
  now_ += std::chrono::hours(2);
  asker_->tick();
  EXPECT_EQ(watched_.size(), 3U);
  now_ -= std::chrono::hours(24 * 30);  // a clock that is set back
  asker_->tick();
  EXPECT_EQ(watched_.size(), 4U);
}

TEST_F(AskerTest, a_board_that_tells_too_often_is_told_again_how_often_it_is_wanted) {
  begin({std::chrono::seconds(120), {}});
  board("pi-1", "pi");
  board("old", "pi");
  asker_->on_status("pi-1");
  asker_->remind("pi-1");
  asker_->remind("old");
  asker_->remind("nobody");
  EXPECT_THAT(watched_, ElementsAre("pi-1", "pi-1"));
}

TEST_F(AskerTest, asks_nothing_where_no_interval_is_wanted) {
  begin({std::chrono::seconds(0), {}});
  board("pi-1", "pi");
  asker_->on_status("pi-1");
  asker_->tick();
  EXPECT_THAT(watched_, IsEmpty());
}

TEST_F(AskerTest, boards_take_turns_to_measure_and_a_start_is_no_turn) {
  begin({std::chrono::seconds(0), std::chrono::hours(24)});
  for (int i = 0; i < 48; ++i) board("pi-" + std::to_string(i), "pi");
  asker_->tick();
  EXPECT_THAT(measured_, IsEmpty());
  std::size_t busiest = 0;
  for (int hour = 0; hour < 24; ++hour) {
    const std::size_t before = measured_.size();
    now_ += std::chrono::hours(1);
    asker_->tick();
    busiest = std::max(busiest, measured_.size() - before);
  }
  EXPECT_EQ(measured_.size(), 48U) << "each once a day";
  EXPECT_LT(busiest, 10U) << "and not all at once";
  EXPECT_EQ(manifest_, trust::sha256("m"));
}

TEST_F(AskerTest, measures_one_board_a_class_or_who_serves_a_release_and_says_who_does_not) {
  begin({});
  board("pi-1", "pi-4");
  board("pi-2", "pi-4");
  board("pi-3", "pi-5");
  board("idle", "pi-5", 1, false);
  board("old", "pi-5");
  offline_.insert("pi-2");
  const auto one = asker_->measure({"pi-1", "", {}});
  ASSERT_THAT(one, IsOk());
  EXPECT_THAT(one->asked, ElementsAre("pi-1"));
  const auto of_class = asker_->measure({"", "pi-4", {}});
  ASSERT_THAT(of_class, IsOk());
  EXPECT_THAT(of_class->asked, ElementsAre("pi-1"));
  EXPECT_EQ(of_class->left_out.at("pi-2"), "it is offline");
  const auto others = asker_->measure({"", "pi-5", {}});
  EXPECT_THAT(others->left_out.at("idle"), HasSubstr("serves nothing"));
  EXPECT_THAT(others->left_out.at("old"), HasSubstr("not signed"));
  EXPECT_THAT(asker_->measure({"", "", trust::sha256("m")})->asked, ElementsAre("pi-1", "pi-3"));
  EXPECT_THAT(asker_->measure({"", "", trust::sha256("other")}), ErrorIs(ErrorCode::not_found, HasSubstr("no board")));
  EXPECT_THAT(asker_->measure({"nobody", "", {}}), ErrorIs(ErrorCode::not_found, HasSubstr("nobody")));
  EXPECT_FALSE(asked_for_layers_);
  board("before", "pi-4");
  EXPECT_THAT(asker_->measure({"before", "", {}, true})->left_out.at("before"), HasSubstr("too old to time layers"));
  EXPECT_THAT(asker_->measure({"pi-1", "", {}, true})->asked, ElementsAre("pi-1"));
  EXPECT_TRUE(asked_for_layers_);
  EXPECT_THAT(asker_->measure({}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("say which boards")));
}

TEST_F(AskerTest, tells_boards_of_a_move_that_can_follow_and_says_who_cannot) {
  begin({});
  for (const char* name : {"pi-1", "before", "old", "away"}) board(name, "pi-4");
  board("idle", "pi-5", 1, false);
  offline_.insert("away");
  const messages::Move move{"{}"};
  const Timestamp until = now_ + std::chrono::hours(1);
  const auto all = asker_->move({}, move, until);
  ASSERT_THAT(all, IsOk());
  EXPECT_THAT(all->asked, ElementsAre("idle", "pi-1")) << "whether it serves says nothing";
  EXPECT_THAT(all->left_for, ElementsAre("away"));
  EXPECT_THAT(moved_, ElementsAre("away", "idle", "pi-1"));
  EXPECT_THAT(all->left_out.at("before"), HasSubstr("too old to follow its broker"));
  EXPECT_THAT(all->left_out.at("old"), HasSubstr("not signed"));
  EXPECT_THAT(asker_->move({"", "pi-5", {}}, move, until)->asked, ElementsAre("idle"));
  EXPECT_THAT(asker_->move({"nobody", "", {}}, move, until), ErrorIs(ErrorCode::not_found, HasSubstr("nobody")));
}

TEST_F(AskerTest, has_so_many_boards_draw_and_says_who_does_not) {
  begin({});
  for (const char* name : {"pi-1", "pi-2", "pi-3", "before", "old", "away"}) board(name, "pi-4");
  board("idle", "pi-5", 1, false);
  offline_.insert("away");
  const auto asked = asker_->draw({"", "pi-4", {}}, 2);
  ASSERT_THAT(asked, IsOk());
  EXPECT_THAT(asked->asked, ElementsAre("pi-1", "pi-2"));
  EXPECT_EQ(drawing_, asked->asked);
  EXPECT_EQ(manifest_, trust::sha256("m"));
  EXPECT_EQ(asked->left_out.at("pi-3"), "no more than 2 boards at once");
  EXPECT_EQ(asked->left_out.at("before"), "its agent is too old to draw: it speaks protocol 5, and pictures are of protocol 6");
  EXPECT_EQ(asked->left_out.at("away"), "it is offline");
  EXPECT_THAT(asked->left_out.at("old"), HasSubstr("not signed"));
  EXPECT_THAT(asker_->draw({"idle", "", {}}, 1)->left_out.at("idle"), HasSubstr("serves nothing"));
  EXPECT_THAT(asker_->draw({}, 1), ErrorIs(ErrorCode::invalid_argument, HasSubstr("are to draw")));
  EXPECT_TRUE((*registry_->picture("pi-1"))->waits);
  EXPECT_EQ((*registry_->picture("pi-1"))->asked, now_);
  EXPECT_EQ(registry_->picture("pi-3").value(), std::nullopt) << "it was not asked";
}

}  // namespace
}  // namespace outcrop::fleet::monitor
