// The agent killed in the middle: it goes on where it was, or ends cleanly.

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

class KilledTest : public AgentTest {
 protected:
  // Kills the agent as soon as this state is written down, which is before it is acted on; then
  // reaps it. False where the state does not come.
  bool kill_when_written(const std::string& state) {
    std::atomic<bool> killed = false;
    std::atomic<bool> stop = false;
    std::thread watcher([&] {
      const UniqueFd events{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
      ::inotify_add_watch(events.get(), state_.c_str(), IN_MOVED_TO);
      while (!stop && !killed) {
        if (written_state() == state) {
          ::kill(agent_, SIGKILL);
          killed = true;
          break;
        }
        pollfd waits{events.get(), POLLIN, 0};
        ::poll(&waits, 1, 50);
        char drained[4096];
        while (::read(events.get(), drained, sizeof drained) > 0) {
        }
      }
    });
    loop_.until([&] { return killed.load(); }, std::chrono::seconds(30));
    stop = true;
    watcher.join();
    if (killed) kill_agent();
    return killed;
  }
};

class KilledIn : public KilledTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(KilledIn, agent_goes_on_to_the_end) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2, .variants = {{.padding = 3'000'000}}});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_TRUE(kill_when_written(GetParam()));
  agent_is_online();
  const auto* report = ends(2, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, second.manifest);
}

INSTANTIATE_TEST_SUITE_P(Each, KilledIn,
                         ::testing::Values("OFFERED", "DOWNLOADING", "DOWNLOADED", "VERIFIED",
                                           "PROVING", "MEASURING", "UPDATING", "SOAKING",
                                           "UPDATED"),
                         [](const auto& test) { return test.param; });

TEST_F(KilledTest, agent_still_says_how_a_failed_deployment_ended) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.offset = 400}}});
  host_.send(host_.offer(wrong, 2, forge_));
  ASSERT_TRUE(kill_when_written("FAILED"));
  agent_is_online();
  EXPECT_TRUE(host_.at(2, State::failed));
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_gives_a_deployment_up_after_three_deaths_in_one_state) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_TRUE(kill_when_written("PROVING"));
  for (int i = 0; i < 2; ++i) {
    start_agent();
    ASSERT_TRUE(kill_when_written("PROVING"));
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
  host_.send(offer);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(kill_when_written("SOAKING"));
    start_agent();
    if (i < 2) {
      const std::size_t said = host_.statuses.size();
      ASSERT_TRUE(loop_.until([&] { return host_.statuses.size() > said; }));
    }
  }
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(KilledTest, agent_without_a_usable_record_rolls_back) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_TRUE(kill_when_written("SOAKING"));
  const std::string damaged = R"({"version": 99, "generation": 2})";
  ASSERT_TRUE(write_file_durably(state_ / "deployment.json", std::string_view(damaged)));
  agent_is_online();
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
  EXPECT_EQ(host_.status()->generation, 2U);
}

}  // namespace
}  // namespace outcrop
