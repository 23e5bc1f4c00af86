#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classifier/stripes_for_tests.hpp"

namespace outcrop::sweep {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// With the real program, on images that are learned in no time.
class SweepRun : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(classifier::write_stripes(path("data"), "train", 24, 1), IsOk());
    ASSERT_THAT(classifier::write_stripes(path("data"), "t10k", 12, 2), IsOk());
    std::ofstream(path("stripes.toml")) << "[model]\nname = \"stripes\"\nkind = \"classifier\"\nwidths = [4]\nhidden = 8\n"
                                           "[data]\ntrain = \"data\"\nclasses = [\"across\", \"down\", \"squares\"]\n"
                                           "[train]\nout = \"run\"\nstage_epochs = 1\nbatch = 8\nthreads = 1\n";
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write_sweep(const std::string& text) const {
    std::ofstream(path("sweep.toml")) << "[sweep]\nconfig = \"stripes.toml\"\n" << text;
  }
  ShellOutcome run(const std::string& more = "") const {
    return run_shell("cd " + folder_.path().string() + " && " OUTCROP_BIN "/outcrop-trainer sweep sweep.toml " + more);
  }

  TemporaryFolder folder_;
};

TEST_F(SweepRun, halves_its_trials_goes_on_after_it_was_ended_and_writes_the_best) {
  write_sweep("search = \"halving\"\ntrials = 4\nstages = 2\n"
              "[keys.\"train.learning_rate\"]\nfrom = 0.001\nto = 0.1\nscale = \"log\"\n"
              "[keys.\"train.batch\"]\nvalues = [\"6\", \"12\"]\n");
  const ShellOutcome first = run();
  ASSERT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, AllOf(HasSubstr("== stage 2, trial 2 of 2"), HasSubstr("the best: trial")));
  const auto csv = read_text_file(path("sweep/sweep.csv"));
  ASSERT_THAT(csv, IsOk());
  EXPECT_THAT(*csv, HasSubstr("trial,train.batch,train.learning_rate,stage,held_out_accuracy,seconds,failed\n"));
  EXPECT_TRUE(fs::exists(path("sweep/trial-001/events.out.tfevents.0.outcrop")));

  // What is trained is not trained again; what is missing is.
  fs::remove_all(path("sweep/trial-002"));
  const ShellOutcome again = run();
  ASSERT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, Not(HasSubstr("begins a new run\n2 ")));
  EXPECT_TRUE(fs::exists(path("sweep/trial-002/training.csv")));

  // The best is a drop-in of what was trained.
  fs::create_directories(path("stripes.toml.d"));
  fs::copy_file(path("sweep/best.toml"), path("stripes.toml.d/best.toml"));
  const ShellOutcome good = run_shell(OUTCROP_BIN "/outcrop-trainer train " + path("stripes.toml").string() +
                                      " --check-config --weights-only");
  EXPECT_EQ(good.code, 0) << good.output;
  // With other values it is another sweep.
  write_sweep("[keys.\"train.batch\"]\nvalues = [\"6\"]\n");
  const ShellOutcome other = run();
  EXPECT_NE(other.code, 0);
  EXPECT_THAT(other.output, HasSubstr("holds another sweep"));
}

TEST_F(SweepRun, refuses_what_is_wrong_before_any_trial) {
  const auto refused = [&](const std::string& text, const std::string& why) {
    write_sweep(text);
    const ShellOutcome outcome = run();
    EXPECT_EQ(outcome.code, 2) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr(why));
    EXPECT_FALSE(fs::exists(path("sweep")));
  };
  refused("[keys.\"train.lerning_rate\"]\nvalues = [\"0.1\"]\n", "did you mean train.learning_rate?");
  refused("[keys.\"train.batch\"]\nvalues = [\"8\", \"0\"]\n", "train.batch: 0 is out of range");
  refused("[keys.\"train.threads\"]\nvalues = [\"1\", \"2\"]\n", "decides nothing of what is trained");
  refused("goal = \"held_out_acuracy\"\n[keys.\"train.batch\"]\nvalues = [\"8\"]\n", "did you mean held_out_accuracy?");
  fs::create_directories(path("sweep"));
  std::ofstream(path("sweep/mine")) << "work";
  write_sweep("[keys.\"train.batch\"]\nvalues = [\"8\"]\n");
  EXPECT_THAT(run().output, HasSubstr("no sweep's"));
}

TEST_F(SweepRun, a_trial_that_fails_does_not_take_the_others_with_it) {
  write_sweep("[keys.\"train.seed\"]\nvalues = [\"1\", \"2\"]\n");
  ASSERT_EQ(run("--check-config").code, 0);
  EXPECT_FALSE(fs::exists(path("sweep")));
  ASSERT_EQ(run().code, 0);
  fs::remove(path("sweep/trial-001/training.csv"));
  std::ofstream(path("sweep/trial-001/checkpoint")) << "no checkpoint";
  const ShellOutcome outcome = run();
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("trial 1 failed: "), HasSubstr("the best: trial 2")));
  EXPECT_THAT(*read_text_file(path("sweep/sweep.csv")), HasSubstr("\n1,1,0,,0,"));
}

TEST_F(SweepRun, a_dry_run_of_what_is_trained_says_what_it_takes_and_writes_nothing) {
  const ShellOutcome outcome = run_shell(OUTCROP_BIN "/outcrop-trainer train " + path("stripes.toml").string() +
                                         " --stages 2 --dry-run --weights-only --set train.batch=12");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("parameters in all: network "), HasSubstr("2 batches of 12 an epoch"),
                                    HasSubstr("on disk: about ")));
  EXPECT_FALSE(fs::exists(path("run")));
}

}  // namespace
}  // namespace outcrop::sweep
