// Links, disks and hosts that fail while a release is on its way.

#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include <boost/asio/co_spawn.hpp>

#include "agent/agent.hpp"
#include "agent/config/config.hpp"
#include "agent/deploy/ledger.hpp"
#include "agent/enroll/next_identity.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/sync_spy.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

// Proportional set size of a process, in KiB.
std::uint64_t pss_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/smaps_rollup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("Pss:")) return std::stoull(line.substr(4));
  }
  return 0;
}

TEST_F(AgentTest, goes_on_when_the_broker_dies_while_it_pulls) {
  agent_is_online();
  const ForgedRelease release = released({.stage = 1, .variants = {{.padding = 20'000'000}}});
  host_.send(host_.offer(release, 1, forge_));
  ASSERT_TRUE(reaches(1, State::downloading));
  ASSERT_TRUE(loop_.until([&] { return host_.chunks() > 20; }));
  ::kill(broker_.broker().process_id(), SIGKILL);  // and its keeper starts it again
  EXPECT_NE(ends(1, State::updated, std::chrono::seconds(90)), nullptr);
  EXPECT_LT(host_.chunks(), 2 * 20'000'000 / 65'536);
}

TEST_F(AgentTest, stays_small_while_it_waits_and_while_it_pulls) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps what was freed, and shadows of it";
#endif
  if (std::string_view(OUTCROP_TESTED_CONFINEMENT) != "full") {
    GTEST_SKIP() << "under an emulator most of a process is the emulator";
  }
  agent_is_online();
  loop_.run_for(std::chrono::milliseconds(500));
  const std::uint64_t idle = pss_of(agent_);
  const ForgedRelease release = released({.stage = 1, .variants = {{.padding = 40'000'000}}});
  host_.send(host_.offer(release, 1, forge_));
  std::uint64_t pulling = 0;
  loop_.until([&] {
    if (!host_.at(1, State::downloading)) return host_.at(1, State::updated);
    if (host_.chunks() < 550) pulling = std::max(pulling, pss_of(agent_));
    return false;
  });
  RecordProperty("pss_idle_kib", std::to_string(idle));
  RecordProperty("pss_pulling_kib", std::to_string(pulling));
  EXPECT_GT(pulling, 0U);
  EXPECT_LT(idle, 10'000U);
  EXPECT_LT(pulling, 10'000U);
}

TEST_F(AgentTest, does_not_fill_the_disk) {
  configure("[disk]\nreserve_mb = 1000000\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("free"));
}

TEST_F(AgentTest, says_so_when_the_runner_cannot_start) {
  const std::string text = "[runner]\nprogram = \"/nowhere/runner\"\n";
  const std::filesystem::path more = config_.string() + ".d";
  std::filesystem::create_directory(more);
  std::ofstream(more / "runner.toml") << text;
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("the runner does not start"));
  EXPECT_EQ(report->engine, "unknown");
}

// In this process, for waiting times that a test can wait for.
class ImpatientAgent : public AgentTest {
 protected:
  void open() {
    const auto config = agent::read_config(config_);
    ASSERT_TRUE(config) << config.error().message();
    agent::DeployTimes times;
    times.metadata = std::chrono::milliseconds(500);
    times.trial = std::chrono::milliseconds(1500);
    auto opened = agent::Agent::open(loop_.executor(), *config, times);
    ASSERT_TRUE(opened) << opened.error().message();
    inside_ = std::move(*opened);
    inside_->on_begin_again([this] { ++begun_again_; });
    inside_->start();
  }
  void start() {
    open();
    ASSERT_TRUE(loop_.until([&] { return host_.status() != nullptr && host_.status()->online; }));
  }
  ~ImpatientAgent() override {
    bool stopped = false;
    boost::asio::co_spawn(loop_.executor(), inside_->stop(),
                          [&](const std::exception_ptr&) { stopped = true; });
    loop_.until([&] { return stopped; });
  }
  std::unique_ptr<agent::Agent> inside_;
  int begun_again_ = 0;
};

// As one of an authority that the broker does not know.
TEST_F(ImpatientAgent, goes_back_to_its_certificate_where_nobody_lets_it_in_by_the_new_one) {
  const agent::NextIdentity next(state_);
  ASSERT_TRUE(next.begin());
  const auto other = pki::Authority::open_or_make(folder_.path() / "other", "Another");
  ASSERT_TRUE(other);
  const auto wrong = other->issue({"pi-1", {}, pki::Authority::Usage::client}, next.key()->public_key());
  ASSERT_TRUE(next.take(*wrong, "pi-1"));
  open();
  ASSERT_TRUE(loop_.until([&] { return begun_again_ > 0; }));
  EXPECT_EQ(host_.status(), nullptr);
  EXPECT_FALSE(next.on_trial());
  EXPECT_TRUE(next.key()) << "it may be certified again";
}

// A sync takes as long as the card wants: seconds for what is large.
TEST_F(ImpatientAgent, syncs_nothing_but_small_documents_on_its_loop) {
  start();
  const SyncSpy spy(state_);
  const ForgedRelease release = released({.stage = 1, .variants = {{.padding = 20'000'000}}});
  host_.send(host_.offer(release, 1, forge_));
  ASSERT_NE(ends(1, State::updated), nullptr);
  std::size_t on_the_loop = 0;
  std::uintmax_t largest = 0;
  std::uintmax_t largest_elsewhere = 0;
  for (const SyncSpy::Sync& sync : spy.seen()) {
    if (!sync.by_this_thread) {
      largest_elsewhere = std::max(largest_elsewhere, sync.size);
      continue;
    }
    ++on_the_loop;
    largest = std::max(largest, sync.size);
    EXPECT_THAT(sync.path.string(), ::testing::Not(HasSubstr("/blobs"))) << "is a worker's";
  }
  RecordProperty("syncs_on_the_loop", std::to_string(on_the_loop));
  RecordProperty("largest_bytes", std::to_string(largest));
  EXPECT_GT(on_the_loop, 0U);
  EXPECT_LT(largest, 65'536U);
  EXPECT_GT(largest_elsewhere, 20'000'000U);
}

TEST_F(ImpatientAgent, gives_up_when_metadata_does_not_come) {
  start();
  const ForgedRelease release = Forge::make_release({.stage = 1});
  auto offer = host_.offer(release, 1, forge_);
  offer.snapshot_version = 5;
  host_.send(offer);
  const auto* report = ends(1, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("metadata: "));
}

TEST_F(ImpatientAgent, gives_nothing_up_while_there_is_no_connection) {
  agent::Decided decided;
  agent::Record& record = decided.record;
  record.generation = 1;
  record.stopped = true;
  agent::Deployment deployment;
  deployment.offer = host_.offer(Forge::make_release({.stage = 1}), 1, forge_);
  deployment.offer.snapshot_version = 5;
  record.deployment = deployment;
  ASSERT_TRUE(agent::Ledger::open(state_).commit(decided));
  broker_.stop_broker();
  open();
  loop_.run_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(written_state(), "1 OFFERED");
}

TEST_F(ImpatientAgent, does_not_install_by_expired_metadata) {
  start();
  const ForgedRelease release = Forge::make_release({.stage = 1});
  forge_.permit(release);
  forge_.let_stage_expire();
  host_.publish(forge_);
  host_.store(release);
  host_.send(host_.offer(release, 1, forge_));
  EXPECT_NE(ends(1, State::failed), nullptr);
}

}  // namespace
}  // namespace outcrop
