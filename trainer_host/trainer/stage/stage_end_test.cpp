#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <thread>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/trust/new_key_for_tests.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/open.hpp"
#include "trainer_host/release/role_change.hpp"
#include "trainer_host/release/stage_store.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/data/synth.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

// Trains a small model with the real program, so that it can really be killed.
// How a machine may fall short of what a stage's end would like.
struct Lacks {
  bool confinement = false;
  bool gnuplot = false;
  bool flags_of_renames = false;  // as NFS, FUSE and 9p, which have no locks either
};

class StageEnd : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(earth::make_toy_data(path("data"), 12, 1, earth::small_geometry()), IsOk());
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
stage_epochs = 3
batch = 2
threads = 1
[quantize]
variants = ["float", "int8-qint8"]
[release]
keys = "keys"
policy = "policy.toml"
)";
    // Three epochs over eight samples make no good model.
    std::ofstream(path("policy.toml")) << "minimum_quality = -inf\n";
  }

  [[nodiscard]] fs::path path(const std::string& name) const { return folder_.path() / name; }
  [[nodiscard]] fs::path weights() const { return path("run") / "tiny_stage1.weights"; }
  [[nodiscard]] fs::path release_folder() const { return path("run") / "releases/tiny-stage1"; }

  [[nodiscard]] pid_t start(std::vector<std::string> more = {}, Lacks lacks = {}) const {
    std::vector<std::string> words{"train", path("train.toml"), "--stages", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return start_program("outcrop-trainer", std::move(words), lacks);
  }

  [[nodiscard]] pid_t start_program(const std::string& name, std::vector<std::string> words,
                                    Lacks lacks) const {
    const std::string program = std::string(OUTCROP_BIN) + "/" + name;
    words.insert(words.begin(), program);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int log = ::open(path("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (lacks.gnuplot) ::setenv("PATH", path("no-programs").c_str(), 1);
    if (lacks.confinement && !forbid_confinement()) ::_exit(77);
    if (lacks.flags_of_renames && !refuse_flags_of_renames()) ::_exit(77);
    ::execv(program.c_str(), arguments.data());
    ::_exit(127);
  }

  [[nodiscard]] int run(std::vector<std::string> more = {}, Lacks lacks = {}) const {
    return wait_for(start(std::move(more), lacks));
  }

  // As an old container runtime does: no Landlock, no new namespaces, for this process and all that it
  // starts.
  static bool forbid_confinement() {
    constexpr std::uint32_t landlock_create_ruleset = 444;  // on every architecture
    sock_filter filter[]{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, landlock_create_ruleset, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_unshare, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    const sock_fprog program{std::size(filter), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

  // In the program and all that it starts: renameat2 with a flag is EINVAL, flock ENOLCK.
  static bool refuse_flags_of_renames() {
    constexpr auto flags = offsetof(seccomp_data, args) + 4 * sizeof(std::uint64_t);
    sock_filter filter[]{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_flock, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_renameat2, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),  // the low half: little-endian
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
    };
    const sock_fprog program{std::size(filter), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

  void without_release_section() const {
    std::string config = *read_text_file(path("train.toml"));
    ASSERT_THAT(write_file_durably(path("train.toml"), config.substr(0, config.find("[release]"))),
                IsOk());
  }

  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // A run that is killed as soon as it has written this; false where it ends before.
  [[nodiscard]] bool killed_when_it_writes(const fs::path& what) const {
    const auto before = fs::exists(what) ? fs::last_write_time(what) : fs::file_time_type::min();
    const pid_t child = start();
    bool runs = true;
    std::error_code error;
    while (runs && (!fs::exists(what, error) || fs::last_write_time(what, error) == before)) {
      std::this_thread::sleep_for(2ms);
      runs = ::waitpid(child, nullptr, WNOHANG) == 0;
    }
    if (!runs) return false;
    ::kill(child, SIGKILL);
    wait_for(child);
    return true;
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
  // Each in what the one before left.
  const fs::path making = path("run") / ".stage1.making";
  const fs::path signer = path("keys") / "stages/tiny";
  for (const fs::path& moment : {weights(), making / "tiny_stage1_float.ptl", making / "quantization.json",
                                 path("run") / "stage1", signer / "made", signer / "stage.json"}) {
    ASSERT_TRUE(killed_when_it_writes(moment)) << moment << "\n" << log();
  }
  ASSERT_EQ(run(), 0) << log();

  ASSERT_EQ(permitted().size(), 1U);
  const auto keys = release::read_key_store(path("keys"));
  const auto opened = release::open_release(release_folder(), keys->root, SystemClock());
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(opened->manifest_digest(), permitted()[0].manifest);
  EXPECT_EQ(opened->manifest().variants.size(), 2U);
  EXPECT_EQ(opened->manifest().epoch, 3U);
  for (const auto& check : release::check_blobs(*opened)) EXPECT_THAT(check.status, IsOk());

  std::ifstream csv(path("run") / "quantization_performance.csv");
  const auto rows = std::count(std::istreambuf_iterator<char>(csv), {}, '\n');
  EXPECT_EQ(rows, 1 + 2) << "a heading and a row for each variant";
  for (const auto& entry : fs::directory_iterator(path("run"))) {
    EXPECT_THAT(entry.path().filename().string(), testing::Not(HasSubstr(".making")));
  }
  EXPECT_TRUE(fs::exists(path("run") / "loss.png"));
}

TEST_F(StageEnd, never_releases_the_model_of_another_training_and_says_so_before_it_trains) {
  ASSERT_EQ(run(), 0) << log();
  const std::string curve = *read_text_file(path("run") / "training.csv");
  std::string config = *read_text_file(path("train.toml"));
  config.replace(config.find("threads = 1"), 0, "seed = 2\n");
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  EXPECT_EQ(run({"--resume", "none"}), 1);
  EXPECT_THAT(log(), HasSubstr("(releases/tiny-stage1, stage1); nothing was changed"));
  // Nor where the way back was taken by hand.
  fs::remove(path("run") / "checkpoint");
  fs::remove(path("log"));
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(log(), HasSubstr("holds finished stages of another training"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
  EXPECT_EQ(*read_text_file(path("run") / "training.csv"), curve);
  EXPECT_EQ(permitted().size(), 1U);

  // The way that it names: another run, from those weights. Its release says what it comes from.
  EXPECT_EQ(run({"--init", weights(), "--out", path("fine")}), 0) << log();
  EXPECT_TRUE(fs::exists(path("fine") / "stage1/lineage.json"));
  const auto keys = release::read_key_store(path("keys"));
  const auto fine = release::open_release(path("fine") / "releases/tiny-stage1", keys->root,
                                          SystemClock());
  ASSERT_THAT(fine, IsOk());
  EXPECT_EQ(fine->manifest().lineage, permitted()[0].manifest);
}

// A model that learned nothing yet has no release and does not stop the training; int8 variants that
// are too far from it do not stop a release.
TEST_F(StageEnd, releases_what_is_good_enough_and_says_what_is_not) {
  std::string config = *read_text_file(path("train.toml"));
  config.replace(config.find("stage_epochs = 3"), 16, "stage_epochs = 1");
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  std::ofstream(path("policy.toml")) << "minimum_quality = 0.9\n";
  ASSERT_EQ(run(), 0) << log();
  EXPECT_THAT(log(), HasSubstr("NO RELEASE of this stage: variant float is not good enough: over 4 "
                               "held-out samples the RMSE of its"));
  EXPECT_THAT(log(), HasSubstr("4 held-out samples"));
  EXPECT_TRUE(permitted().empty());
  EXPECT_FALSE(fs::exists(release_folder()));
  ASSERT_EQ(run(), 0) << "the stage has ended: " << log();
  const auto artifact = messages::read_artifact(path("run") / "stage1");
  ASSERT_THAT(artifact, IsOk());
  ASSERT_TRUE(artifact->quality);
  EXPECT_TRUE(artifact->quality->held_out);
  EXPECT_EQ(artifact->quality->samples, 4U);
  EXPECT_EQ(artifact->quality->baselines.size(), 2U);
  EXPECT_GT(*artifact->quality->model.outputs.at("velocity").find("rmse"), 0.0);
  EXPECT_GT(artifact->quality->spread.at("velocity").data, 100.0);

  std::ofstream(path("lenient.toml"))
      << "minimum_quality = -inf\n[output.velocity]\nfloor_mean_abs = 0.001\nfloor_max_abs = "
         "0.001\ncap_mean_abs = 0.01\ncap_max_abs = 1.0\n";
  const pid_t create = start_program(
      "outcrop", {"release", "create", path("run") / "stage1", "--keys", path("keys"), "--policy",
                  path("lenient.toml"), "--out", release_folder()},
      {});
  ASSERT_EQ(wait_for(create), 0) << log();
  EXPECT_THAT(log(), HasSubstr("left out: variant int8-qint8: the velocity error (mean) is"));
  const auto keys = release::read_key_store(path("keys"));
  const auto opened = release::open_release(release_folder(), keys->root, SystemClock());
  ASSERT_THAT(opened, IsOk());
  ASSERT_EQ(opened->manifest().variants.size(), 1U);
  const auto quality = opened->quality();
  ASSERT_THAT(quality, IsOk());
  EXPECT_EQ(*quality, artifact->quality);
}

TEST_F(StageEnd, refuses_a_policy_that_cannot_be_read_before_it_trains) {
  std::ofstream(path("policy.toml")) << "minimum_qualty = 0.5\n";
  EXPECT_EQ(run(), 2) << log();
  EXPECT_THAT(log(), HasSubstr("policy.toml:1: minimum_qualty"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
}

TEST_F(StageEnd, refuses_keys_that_cannot_sign_before_it_trains) {
  EXPECT_EQ(run({"--check-config"}), 0) << log();
  EXPECT_THAT(log(), HasSubstr("is good: 8 samples to train on, 4 held out; it begins a new run"));
  fs::rename(path("keys/stages/tiny"), path("keys/stages/other"));
  for (const char* option : {"--json", "--check-config"}) {
    fs::remove(path("log"));
    EXPECT_EQ(run({option}), 1);
    EXPECT_THAT(log(), HasSubstr("no stage key for the model 'tiny'"));
  }
  fs::rename(path("keys/stages/other"), path("keys/stages/tiny"));
  fs::remove_all(path("data"));
  EXPECT_EQ(run({"--check-config"}), 1);
  EXPECT_THAT(log(), HasSubstr("no such folder"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
}

TEST_F(StageEnd, refuses_at_start_a_list_that_needs_more_signatures_than_there_are_keys) {
  const auto other = trust::new_key().public_key();
  ASSERT_THAT(release::add_key(path("keys"), "stage-tiny", other, release::Missing::refuse), IsOk());
  EXPECT_EQ(run({"--check-config"}), 0) << log();
  ASSERT_THAT(release::set_threshold(path("keys"), "stage-tiny", 2, release::Missing::refuse), IsOk());
  for (const char* option : {"--json", "--check-config"}) {
    fs::remove(path("log"));
    EXPECT_EQ(run({option}), 1);
    EXPECT_THAT(log(), AllOf(HasSubstr("stage-tiny asks for 2 signatures"), HasSubstr("has 1 key"),
                             HasSubstr("signed_elsewhere = true")));
  }
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
  std::string config = *read_text_file(path("train.toml"));
  config.replace(config.find("keys = \"keys\""), 13, "keys = \"keys\"\nsigned_elsewhere = true");
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  fs::remove(path("log"));
  EXPECT_EQ(run({"--check-config"}), 0) << log();
  EXPECT_THAT(log(), HasSubstr("note: stage-tiny asks for 2 signatures"));
}

TEST_F(StageEnd, goes_without_times_and_pictures_where_they_cannot_be_had) {
  without_release_section();
  ASSERT_EQ(run({}, {.confinement = true, .gnuplot = true}), 0) << log();
  EXPECT_THAT(log(), AllOf(HasSubstr("this machine cannot confine a runner fully"),
                           HasSubstr("--allow-reduced-confinement"),
                           HasSubstr("note: loss.png will not be drawn: "),
                           HasSubstr("not measured: float, int8-qint8")));
  EXPECT_THAT(*read_text_file(path("run") / "quantization_performance.csv"),
              HasSubstr(",no\n"));
  EXPECT_TRUE(fs::exists(path("run") / "stage1/artifact.json"));
  EXPECT_FALSE(fs::exists(path("run") / "loss.png"));
}

TEST_F(StageEnd, proves_a_release_where_it_may_be_confined_less_and_refuses_at_start_elsewhere) {
  const Lacks lacks{.confinement = true, .gnuplot = true};
  EXPECT_EQ(run({}, lacks), 1);
  EXPECT_THAT(log(), AllOf(HasSubstr("a release is proved in a confined runner"),
                           HasSubstr("--allow-reduced-confinement")));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
  ASSERT_EQ(run({"--allow-reduced-confinement"}, lacks), 0) << log();
  EXPECT_EQ(permitted().size(), 1U);
  EXPECT_THAT(*read_text_file(path("run") / "quantization_performance.csv"),
              testing::ContainsRegex(",(yes|no)\n"));
  EXPECT_THAT(log(), testing::Not(HasSubstr("not measured")));
}

TEST_F(StageEnd, publishes_stage_and_release_where_renames_know_no_flags_and_nothing_locks) {
  const Lacks lacks{.confinement = false, .gnuplot = true, .flags_of_renames = true};
  ASSERT_EQ(run({}, lacks), 0) << log();
  EXPECT_EQ(permitted().size(), 1U);
  EXPECT_TRUE(fs::exists(path("run") / "stage1/artifact.json"));
  EXPECT_FALSE(fs::exists(path("run") / ".stage1.making"));
  const auto keys = release::read_key_store(path("keys"));
  EXPECT_THAT(release::open_release(release_folder(), keys->root, SystemClock()), IsOk());
}

TEST_F(StageEnd, says_at_start_which_keys_expire_while_it_trains_and_refuses_expired_ones) {
  const auto made_days_ago = [&](int days) {
    fs::remove_all(path("keys"));
    fs::remove(path("log"));
    return release::init_key_store(path("keys"), {.models = {"tiny"}},
                                   // An hour more: whole days are left, however fast this goes.
                                   SystemClock().now() - std::chrono::days(days) - 1h);
  };
  ASSERT_THAT(made_days_ago(350), IsOk());
  EXPECT_EQ(run({"--check-config"}), 0) << log();
  EXPECT_THAT(log(), AllOf(HasSubstr("note: targets expires on"), HasSubstr("in 14 days"),
                           HasSubstr("outcrop keys renew")));
  ASSERT_THAT(made_days_ago(366), IsOk());
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(log(), HasSubstr("targets: expired on"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
}

TEST_F(StageEnd, says_before_it_goes_on_which_keys_expire_before_its_stages_end) {
  const pid_t child = start();
  while (!fs::exists(path("run") / "training.csv") && ::waitpid(child, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(5ms);
  }
  ::kill(child, SIGKILL);
  wait_for(child);
  const auto keys_expire_in = [&](std::chrono::seconds left) {
    fs::remove_all(path("keys"));
    return release::init_key_store(path("keys"), {.models = {"tiny"}},
                                   SystemClock().now() - std::chrono::days(365) + left);
  };
  ASSERT_THAT(keys_expire_in(1h), IsOk());
  const auto goes_on = [&](std::vector<std::string> more) {
    fs::remove(path("log"));
    std::vector<std::string> words{"train", path("train.toml"), "--check-config"};
    words.insert(words.end(), more.begin(), more.end());
    return wait_for(start_program("outcrop-trainer", words, {}));
  };
  EXPECT_EQ(goes_on({"--stages", "1"}), 0) << log();
  EXPECT_THAT(log(), testing::Not(HasSubstr("training to its last stage takes")));
  EXPECT_EQ(goes_on({"--stages", "1000000"}), 0) << log();
  EXPECT_THAT(log(), AllOf(HasSubstr("training to its last stage takes about"), HasSubstr("and targets expires on")));
  std::string config = *read_text_file(path("train.toml"));
  config.replace(config.find("stage_epochs = 3"), 16, "stage_epochs = 10000");
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  ASSERT_THAT(keys_expire_in(40s), IsOk());
  EXPECT_EQ(goes_on({"--allow-change"}), 1);
  EXPECT_THAT(log(), AllOf(HasSubstr("could not be released then: targets expires on"), HasSubstr("outcrop keys renew")));
}

TEST_F(StageEnd, refuses_at_start_a_table_that_it_could_not_write_to) {
  fs::create_directory(path("run"));
  std::ofstream(path("run") / "quantization_performance.csv") << "my notes\n";
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(log(), HasSubstr("quantization_performance.csv, line 1: not the heading"));
  EXPECT_FALSE(fs::exists(path("run") / "checkpoint"));
}

TEST_F(StageEnd, maps_of_another_geometry_are_trained_shipped_and_drawn) {
  data::SynthOptions synth;
  synth.family = data::Family::flatvel_a;
  synth.count = 5;
  synth.geometry.depth = 64;
  synth.geometry.width = 96;
  synth.geometry.shots = 3;
  synth.geometry.times = 250;
  synth.geometry.time_step = 0.002;
  synth.geometry.source_columns = data::spread_sources(3, 96);
  synth.out = path("wide");
  ASSERT_THAT(data::synthesize(synth, {}), IsOk());
  std::string config = *read_text_file(path("train.toml"));
  for (const auto& [from, to] : {std::pair{"train = \"data\"", "train = \"wide\""},
                                 {"held_out = 4", "held_out = 2"},
                                 {"stage_epochs = 3", "stage_epochs = 2"}}) {
    config.replace(config.find(from), std::string_view(from).size(), to);
  }
  ASSERT_THAT(write_file_durably(path("train.toml"), config), IsOk());
  ASSERT_EQ(run(), 0) << log();

  const auto keys = release::read_key_store(path("keys"));
  const auto opened = release::open_release(release_folder(), keys->root, SystemClock());
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(opened->manifest().variants.size(), 2U);
  const auto evaluated =
      wait_for(start_program("outcrop-trainer",
                             {"evaluate", path("run") / "stage1", path("wide"), "--train",
                              path("wide"), "--out", path("evaluation")},
                             {}));
  EXPECT_EQ(evaluated, 0) << log();
  EXPECT_TRUE(fs::exists(path("evaluation") / "gallery.png"));

  // What a board answers, by the shapes that the release promises.
  std::vector<runtime::Tensor> answers;
  const auto& forward = opened->manifest().signature.methods.front();
  for (const auto& output : forward.outputs) {
    std::vector<std::int64_t> shape;
    std::size_t values = 1;
    for (const auto& extent : output.type.shape) {
      shape.push_back(extent.size > 0 ? extent.size : 1);
      values *= static_cast<std::size_t>(shape.back());
    }
    answers.push_back(
        runtime::Tensor::of_floats(output.name, shape, std::vector<float>(values, 2000.0F)));
  }
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].shape, (std::vector<std::int64_t>{1, 1, 64, 96}));
  EXPECT_EQ(answers[1].shape, (std::vector<std::int64_t>{1, 3, 250, 96}));
  ASSERT_THAT(runtime::write_tensor_file(path("made.safetensors"), answers), IsOk());
  EXPECT_EQ(wait_for(start_program("outcrop-trainer",
                                   {"draw", path("made.safetensors"), "--out", path("made.png")}, {})),
            0)
      << log();
  EXPECT_TRUE(fs::exists(path("made.png")));
  // Other data are none that it can say anything of.
  EXPECT_EQ(wait_for(start_program("outcrop-trainer",
                                   {"evaluate", path("run") / "stage1", path("data"), "--out",
                                    path("other")},
                                   {})),
            2);
  EXPECT_THAT(log(), AllOf(HasSubstr("maps of 64x96, 3 shots of 250 steps"),
                           HasSubstr("the data: maps of 40x40")));
}

}  // namespace
}  // namespace outcrop::stage
