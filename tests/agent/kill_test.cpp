// The agent killed in the middle: it goes on where it was, or ends cleanly.

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <thread>

#include "agent/slots/slots.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

// What a deployment passes through, in the order in which it is written down.
const std::vector<std::string>& way() {
  static const std::vector<std::string> states{"OFFERED",  "DOWNLOADING", "DOWNLOADED",
                                               "VERIFIED", "PROVING",     "MEASURING",
                                               "UPDATING", "SOAKING",     "UPDATED"};
  return states;
}

// Whether the written "<generation> <state>" is at the wanted one, or has just gone past it.
bool has_come_to(const std::string& written, const std::string& wanted) {
  const auto split = [](const std::string& text) {
    const std::size_t space = text.find(' ');
    return std::pair(text.substr(0, space), text.substr(std::min(text.size(), space + 1)));
  };
  if (written == wanted) return true;
  const auto [generation, state] = split(written);
  const auto [wanted_generation, wanted_state] = split(wanted);
  const auto at = std::find(way().begin(), way().end(), state);
  return generation == wanted_generation && at != way().end() &&
         at > std::find(way().begin(), way().end(), wanted_state);
}

class KilledTest : public AgentTest {
 protected:
  // Takes all events that wait. An agent that starts may mend the record's spare first.
  static bool record_was_replaced(int events) {
    bool replaced = false;
    alignas(inotify_event) std::array<char, 4096> taken{};
    ssize_t size = 0;
    while ((size = ::read(events, taken.data(), taken.size())) > 0) {
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(taken.data() + at);
        replaced = replaced || std::string_view(event->name) == "deployment.json";
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    return replaced;
  }
  // Does `action`, and kills the agent as soon as it then writes down that state ("2 SOAKING"),
  // which is before it acts on it. False where that does not come.
  bool kills_at(const std::string& wanted, const std::function<void()>& action) {
    const UniqueFd events{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    ::inotify_add_watch(events.get(), state_.c_str(), IN_MOVED_TO);
    std::atomic<bool> stop = false;
    std::atomic<bool> come = false;
    std::thread watcher([&] {
      while (!stop && !come) {
        pollfd waits{events.get(), POLLIN, 0};
        if (::poll(&waits, 1, 50) != 1) continue;
        if (!record_was_replaced(events.get())) continue;
        if (agent_ <= 0 || !has_come_to(written_state(), wanted)) continue;
        ::kill(agent_, SIGKILL);
        come = true;
      }
    });
    action();
    loop_.until([&] { return come.load(); }, std::chrono::seconds(40));
    stop = true;
    watcher.join();
    if (come) kill_agent();
    return come;
  }
};

class KilledIn : public KilledTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(KilledIn, agent_goes_on_to_the_end) {
  agent_is_online();
  first_release();
  const ForgedRelease second = released({.stage = 2, .variants = {{.padding = 3'000'000}}});
  auto offer = host_.offer(second, 2, forge_);
  offer.soak = std::chrono::seconds(1);
  ASSERT_TRUE(kills_at("2 " + GetParam(), [&] { host_.send(offer); }));
  agent_is_online();
  ASSERT_TRUE(reaches(2, State::updated));
  EXPECT_EQ(host_.status()->active_manifest, second.manifest);
}

INSTANTIATE_TEST_SUITE_P(Each, KilledIn, ::testing::ValuesIn(way()),
                         [](const auto& test) { return test.param; });

TEST_F(KilledTest, agent_still_says_how_a_failed_deployment_ended) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.offset = 400}}});
  ASSERT_TRUE(kills_at("2 FAILED", [&] { host_.send(host_.offer(wrong, 2, forge_)); }));
  agent_is_online();
  EXPECT_TRUE(host_.at(2, State::failed));
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_removes_what_it_left_lying_about) {
  agent_is_online();
  const ForgedRelease first = first_release();
  kill_agent();
  const std::vector<std::filesystem::path> left{
      state_ / "deployment.json.tmp-17", state_ / "metadata" / "trusted.json.tmp-17",
      state_ / "outbox" / "session.json.tmp-17", state_ / "releases" / "slots.json.tmp-17",
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
  ASSERT_TRUE(kills_at("2 PROVING", [&] { host_.send(host_.offer(second, 2, forge_)); }));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kills_at("2 PROVING", [&] { start_agent(); }));
  }
  agent_is_online();
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
  ASSERT_TRUE(kills_at("2 SOAKING", [&] { host_.send(offer); }));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kills_at("2 SOAKING", [&] { start_agent(); }));
  }
  agent_is_online();
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_does_not_commit_what_it_had_begun_to_return_from) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  ASSERT_TRUE(kills_at("2 SOAKING", [&] { host_.send(host_.offer(second, 2, forge_)); }));
  // The slots are written before the record is: this is where a kill between them leaves the board.
  auto slots = agent::Slots::open(state_ / "releases", ByteCount(0));
  ASSERT_THAT(slots, IsOk());
  ASSERT_EQ(slots->active()->manifest, second.manifest);
  ASSERT_THAT(slots->return_to(slots->previous()), IsOk());
  agent_is_online();
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("while it returned"));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_without_a_usable_record_rolls_back) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  ASSERT_TRUE(kills_at("2 SOAKING", [&] { host_.send(host_.offer(second, 2, forge_)); }));
  const std::string damaged = R"({"version": 99, "generation": 2})";
  ASSERT_TRUE(write_file_durably(state_ / "deployment.json", std::string_view(damaged)));
  agent_is_online();
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
  EXPECT_EQ(host_.status()->generation, 2U);
}

}  // namespace
}  // namespace outcrop
