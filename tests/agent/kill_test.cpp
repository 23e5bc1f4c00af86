// The agent killed in the middle: it goes on where it was, or ends cleanly.

#include <gmock/gmock.h>

#include <string_view>

#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

const std::string this_boot = "this boot";

class KilledTest : public AgentTest {
 protected:
  // Starts an agent that kills itself when it comes to that point, does `action` once it is online (nothing: it goes on with what is written down), and waits until it
  // has. False where it did not: it tells itself that it came there.
  bool kills_at(const std::string& point, const std::function<void()>& action = nullptr,
                const std::string& boot = this_boot) {
    if (agent_ > 0) {
      EXPECT_EQ(end_agent(), 0);
    }
    const std::filesystem::path hit = config_.string() + ".hit";
    std::filesystem::remove(hit);
    fault_ = {boot, point};
    if (action) {
      agent_is_online();
      action();
    } else {
      start_agent();
    }
    fault_.clear();
    const bool ended = loop_.until(
        [&] { return !agent_runs() || host_.report(2, State::updated) != nullptr; },
        std::chrono::seconds(40));
    return ended && read_text_file(hit).value_or("") == point;
  }
  // Goes on in the same boot, to no more kills.
  void goes_on() {
    fault_ = {this_boot, "nowhere"};
    agent_is_online();
    fault_.clear();
  }
};

class KilledIn : public KilledTest, public ::testing::WithParamInterface<std::string> {};

// At each state that is written down, just after it was: in all others it begins at one of these
// again. The host hears of the end, whenever the kill came.
TEST_P(KilledIn, agent_goes_on_to_the_end) {
  agent_is_online();
  first_release();
  const ForgedRelease second = released({.stage = 2, .variants = {{.padding = 3'000'000}}});
  auto offer = host_.offer(second, 2, forge_);
  offer.soak = std::chrono::seconds(1);
  ASSERT_TRUE(kills_at(GetParam() + " written", [&] { host_.send(offer); }));
  EXPECT_EQ(written_state(), "2 " + GetParam());
  EXPECT_EQ(host_.report(2, State::updated), nullptr) << "it had no time to say so";
  agent_is_online();
  ASSERT_NE(ends(2, State::updated), nullptr);
  EXPECT_EQ(host_.status()->active_manifest, second.manifest);
}

INSTANTIATE_TEST_SUITE_P(Each, KilledIn,
                         ::testing::Values("OFFERED", "PROVING", "UPDATING", "SOAKING", "UPDATED"),
                         [](const auto& test) { return test.param; });

TEST_F(KilledTest, agent_still_says_how_a_failed_deployment_ended) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.offset = 400}}});
  ASSERT_TRUE(kills_at("FAILED written", [&] { host_.send(host_.offer(wrong, 2, forge_)); }));
  agent_is_online();
  EXPECT_NE(ends(2, State::failed), nullptr);
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_removes_what_it_left_lying_about) {
  agent_is_online();
  const ForgedRelease first = first_release();
  kill_agent();
  const std::vector<std::filesystem::path> left{
      state_ / "board.json.tmp-17", state_ / "metadata" / "trusted.json.tmp-17",
      state_ / "outbox" / "session.json.tmp-17",
      state_ / "releases" / "blobs" / (trust::sha256("another").hex() + ".part"),
      state_ / "releases" / "blobs" / trust::sha256("third").hex()};
  for (const auto& file : left) {
    ASSERT_TRUE(write_file_durably(file, std::string_view("half a file")));
  }
  agent_is_online();
  for (const auto& file : left) EXPECT_FALSE(std::filesystem::exists(file)) << file;
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_gives_a_deployment_up_after_three_deaths_in_one_state) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2, .variants = {{.call_ms = 200}}});
  ASSERT_TRUE(kills_at("PROVING begins", [&] { host_.send(host_.offer(second, 2, forge_)); }));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kills_at("PROVING begins"));
  }
  goes_on();
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("3 times in the state PROVING"));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_rolls_back_after_three_deaths_in_a_soak) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  auto offer = host_.offer(second, 2, forge_);
  offer.soak = std::chrono::hours(1);
  ASSERT_TRUE(kills_at("SOAKING begins", [&] { host_.send(offer); }));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kills_at("SOAKING begins"));
  }
  goes_on();
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_on_a_board_that_loses_power_each_day_soaks_to_the_end) {
  agent_is_online();
  first_release();
  const ForgedRelease second = released({.stage = 2});
  auto offer = host_.offer(second, 2, forge_);
  offer.soak = std::chrono::seconds(1);
  ASSERT_TRUE(kills_at("SOAKING begins", [&] { host_.send(offer); }, "day 0"));
  // Each day it comes to writing down once what it has soaked, and no further.
  int days = 1;
  while (days < 20 && kills_at("SOAKING saved", nullptr, "day " + std::to_string(days))) ++days;
  EXPECT_GT(days, 3) << "as many crashes would have ended it";
  EXPECT_LT(days, 8) << "it went on where it was";
  EXPECT_NE(ends(2, State::updated), nullptr);
  EXPECT_EQ(host_.status()->active_manifest, second.manifest);
}

TEST_F(KilledTest, agent_without_a_usable_record_serves_what_was_committed) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  ASSERT_TRUE(kills_at("SOAKING begins", [&] { host_.send(host_.offer(second, 2, forge_)); }));
  for (const char* copy : {"board.json", "board.json.spare"}) {
    ASSERT_TRUE(write_file_durably(state_ / copy, std::string_view("means nothing")));
  }
  agent_is_online();
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

}  // namespace
}  // namespace outcrop
