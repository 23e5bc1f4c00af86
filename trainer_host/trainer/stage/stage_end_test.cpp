#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/open.hpp"
#include "trainer_host/release/stage_store.hpp"
#include "trainer_host/trainer/train/toy_data.hpp"

extern char** environ;

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Trains a small model with the real program, so that it can really be killed.
class StageEnd : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(train::make_toy_data(path("data"), 12, 1), IsOk());
    ASSERT_THAT(release::init_key_store(path("keys"), {.models = {"tiny"}}, SystemClock().now()),
                IsOk());
    std::ofstream(path("train.toml")) << R"(
[model]
name = "tiny"
latent = 16
encoder_width = 4
velocity_width = 4
seismic_width = 4
[data]
train = "data"
held_out = 4
[train]
out = "run"
stage_epochs = 12
batch = 2
threads = 1
[release]
keys = "keys"
)";
  }

  [[nodiscard]] fs::path path(const std::string& name) const { return folder_.path() / name; }
  [[nodiscard]] fs::path weights() const { return path("run") / "tiny_stage1.weights"; }
  [[nodiscard]] fs::path release_folder() const { return path("run") / "releases/tiny-stage1"; }

  [[nodiscard]] pid_t start(std::vector<std::string> more = {}) const {
    const std::string program = std::string(OUTCROP_BIN) + "/outcrop-trainer";
    std::vector<std::string> words{program, "train", path("train.toml"), "--stages", "1"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, path("log").c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }

  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  [[nodiscard]] std::string log() const { return read_text_file(path("log")).value_or(""); }

  [[nodiscard]] std::vector<trust::PermittedRelease> permitted() const {
    const auto keys = release::read_key_store(path("keys"));
    const auto store = release::StageStore::open(path("keys"), "tiny", *keys);
    const auto list = store->signed_list(*keys);
    return *list ? (**list).metadata->releases : std::vector<trust::PermittedRelease>{};
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(StageEnd, killed_in_its_middle_ends_with_one_release) {
  // Kills at growing distances from the moment the weights stand, until a run gets through.
  int kills = 0;
  for (auto delay = 300ms; delay < 60s; delay += delay / 2) {
    const pid_t child = start();
    while (!fs::exists(weights()) && ::waitpid(child, nullptr, WNOHANG) == 0) {
      std::this_thread::sleep_for(5ms);
    }
    const auto deadline = std::chrono::steady_clock::now() + delay;
    while (std::chrono::steady_clock::now() < deadline && !fs::exists(release_folder())) {
      std::this_thread::sleep_for(5ms);
    }
    ::kill(child, SIGKILL);
    wait_for(child);
    ++kills;
    if (fs::exists(release_folder())) break;
  }
  EXPECT_GT(kills, 2);
  ASSERT_EQ(wait_for(start()), 0) << log();

  ASSERT_EQ(permitted().size(), 1U);
  const auto keys = release::read_key_store(path("keys"));
  const auto opened = release::open_release(release_folder(), keys->root, SystemClock());
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(opened->manifest_digest(), permitted()[0].manifest);
  EXPECT_EQ(opened->manifest().variants.size(), 4U);
  EXPECT_EQ(opened->manifest().epoch, 12U);
  for (const auto& check : release::check_blobs(*opened)) EXPECT_THAT(check.status, IsOk());

  std::ifstream csv(path("run") / "quantization_performance.csv");
  const auto rows = std::count(std::istreambuf_iterator<char>(csv), {}, '\n');
  EXPECT_EQ(rows, 1 + 4) << "a heading and a row for each variant";
  for (const auto& entry : fs::directory_iterator(path("run"))) {
    EXPECT_THAT(entry.path().filename().string(), testing::Not(HasSubstr(".making")));
  }
  EXPECT_TRUE(fs::exists(path("run") / "loss.png"));
}

TEST_F(StageEnd, never_releases_the_model_of_another_training) {
  ASSERT_EQ(wait_for(start()), 0) << log();
  std::string config = *read_text_file(path("train.toml"));
  config.replace(config.find("threads = 1"), 0, "seed = 2\n");
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  EXPECT_EQ(wait_for(start({"--resume", "none"})), 1);
  EXPECT_THAT(log(), HasSubstr("holds finished stages of another training; nothing was changed"));
  // Nor where the way back was taken by hand.
  fs::remove(path("run") / "checkpoint");
  EXPECT_EQ(wait_for(start()), 1);
  EXPECT_THAT(log(), HasSubstr("holds the model of another training"));
  EXPECT_EQ(permitted().size(), 1U);
}

TEST_F(StageEnd, refuses_keys_that_cannot_sign_before_it_trains) {
  fs::rename(path("keys/stages/tiny"), path("keys/stages/other"));
  EXPECT_EQ(wait_for(start()), 1);
  EXPECT_THAT(log(), HasSubstr("no stage key for the model 'tiny'"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
}

}  // namespace
}  // namespace outcrop::stage
