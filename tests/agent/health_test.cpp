// A committed release is watched as long as it serves.

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class HealthTest : public AgentTest {
 protected:
  // Its runner is a copy, which the test may replace: the name decides how it behaves.
  void start(const std::string& measure) {
    if (std::string_view(OUTCROP_TESTED_CONFINEMENT) != "full") GTEST_SKIP() << "an emulator starts no copy of a runner";
    fs::copy_file(scripted_runner, folder_.path() / "runner");
    link_runner("runner");
    configure("[measure]\ncalls = 4\nseconds = 1\nrounds = 1\nattempts = 100\n" + measure);
    fs::create_directory(config_.string() + ".d");
    const std::string program = "[runner]\nprogram = \"" + (folder_.path() / "linked").string() + "\"\n";
    ASSERT_TRUE(write_file_durably(config_.string() + ".d/runner.toml", std::string_view(program)));
    agent_is_online();
  }
  void replace_runner(const std::string& name) {
    fs::copy_file(folder_.path() / "runner", folder_.path() / name);
    link_runner(name);
  }
  void link_runner(const std::string& name) {
    fs::create_symlink(name, folder_.path() / "linked.new");
    fs::rename(folder_.path() / "linked.new", folder_.path() / "linked");
  }
  ShellOutcome asks_for(int rows) {
    return agent_says("infer --count " + std::to_string(rows) + " --out " +
                      (folder_.path() / "made.safetensors").string() + " --config " + config_.string());
  }
  ForgedRelease second_release(const ScriptedVariant& variant, double p90_ms = 1000) {
    ForgedRelease second = released({.stage = 2, .variants = {variant}, .budgets = {{Forge::device_class, p90_ms, 2000.0}}});
    host_.send(host_.offer(second, 2, forge_));
    EXPECT_NE(ends(2, State::updated), nullptr);
    return second;
  }
};

TEST_F(HealthTest, leaves_a_release_whose_runner_its_calls_break) {
  start("");
  if (IsSkipped()) return;
  const ForgedRelease first = first_release();
  const ForgedRelease second = second_release({.crash_at_rows = 7});
  for (int i = 0; i < 2; ++i) EXPECT_NE(asks_for(7).code, 0);
  EXPECT_EQ(asks_for(1).code, 0);
  EXPECT_TRUE(host_.at(2, State::updated)) << "a request that no model survives is none of the release";
  EXPECT_NE(asks_for(7).code, 0);
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("of the last 4 calls 3 broke their runner"));
  EXPECT_EQ(report->active_manifest, first.manifest);
  EXPECT_EQ(asks_for(7).code, 0);
}

TEST_F(HealthTest, serves_on_and_says_so_where_there_is_nothing_to_return_to) {
  start("");
  if (IsSkipped()) return;
  const ForgedRelease only = released({.stage = 1, .variants = {{.fail_at_rows = 7}}});
  host_.send(host_.offer(only, 1, forge_));
  ASSERT_NE(ends(1, State::updated), nullptr);
  for (int i = 0; i < 10; ++i) EXPECT_NE(asks_for(7).code, 0);
  ASSERT_TRUE(loop_.until([&] {
    return std::any_of(host_.reports.begin(), host_.reports.end(), [](const messages::Report& report) {
      return report.reason.find("there is no release to return to") != std::string::npos;
    });
  }));
  EXPECT_EQ(asks_for(1).code, 0);
  EXPECT_THAT(agent_says("status --config " + config_.string()).output, HasSubstr("of the last 10 calls 10 failed"));
}

TEST_F(HealthTest, leaves_a_release_that_is_not_right_any_more_when_it_is_proved_again) {
  start("prove_again_seconds = 1\nagain_seconds = 1\n");
  if (IsSkipped()) return;
  const ForgedRelease first = first_release();
  const ForgedRelease second = second_release({});
  replace_runner("runner-drifted");
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("proved again, "));
  EXPECT_THAT(report->reason, HasSubstr("off by 400"));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(HealthTest, leaves_a_release_that_keeps_its_budget_no_more) {
  start("prove_again_seconds = 1\nagain_seconds = 1\n");
  if (IsSkipped()) return;
  const ForgedRelease first = first_release();
  const ForgedRelease second = second_release({}, 12);
  replace_runner("runner-slow");
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("budget: no variant keeps that of raspberry-pi-4"));
}

TEST_F(HealthTest, blames_no_release_for_a_runner_that_cannot_start) {
  start("prove_again_seconds = 1\nagain_seconds = 1\n");
  if (IsSkipped()) return;
  const ForgedRelease first = first_release();
  const ForgedRelease second = second_release({});
  link_runner("nowhere");
  loop_.run_for(std::chrono::seconds(4));
  EXPECT_NE(asks_for(1).code, 0);
  EXPECT_TRUE(host_.at(2, State::updated));
  link_runner("runner");
  EXPECT_EQ(asks_for(1).code, 0);
}

}  // namespace
}  // namespace outcrop
