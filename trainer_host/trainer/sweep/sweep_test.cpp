#include <gmock/gmock.h>

#include <set>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/sweep/sweep_config.hpp"
#include "trainer_host/trainer/sweep/sweep_picture.hpp"
#include "trainer_host/trainer/sweep/trials.hpp"

namespace outcrop::sweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class SweepConfig : public testing::Test {
 protected:
  Result<Sweep> read(const std::string& text) const {
    EXPECT_THAT(write_file_durably(folder_.path() / "sweep.toml", std::string_view(text)), IsOk());
    return read_sweep(folder_.path() / "sweep.toml");
  }
  void refused(const std::string& text, const std::string& why) const {
    EXPECT_THAT(read(text), ErrorIs(ErrorCode::invalid_argument, HasSubstr(why))) << text;
  }

  TemporaryFolder folder_;
};

TEST_F(SweepConfig, a_grid_has_every_combination_once) {
  const auto sweep = read("[sweep]\nconfig = \"t.toml\"\n[keys.\"train.batch\"]\nvalues = [\"8\", \"16\"]\n"
                          "[keys.\"model.widths\"]\nvalues = [\"[8]\", \"[16]\", \"[8, 16]\"]\n");
  ASSERT_THAT(sweep, IsOk());
  EXPECT_EQ(sweep->config, folder_.path() / "t.toml");
  const auto points = points_of(*sweep);
  ASSERT_THAT(points, IsOk());
  EXPECT_EQ(std::set(points->begin(), points->end()).size(), 6U);
  EXPECT_THAT(settings_of(*sweep, points->front()),
              ElementsAre("model.widths=[8]", "train.batch=8", "train.keep_stages=1"));
}

TEST_F(SweepConfig, draws_the_same_points_from_the_same_seed_within_their_ranges) {
  const std::string text = "[sweep]\nconfig = \"t.toml\"\nsearch = \"random\"\ntrials = 40\n"
                           "[keys.\"train.learning_rate\"]\nfrom = 0.0001\nto = 0.1\nscale = \"log\"\n"
                           "[keys.\"model.hidden\"]\nfrom = 3\nto = 5\nwhole = true\n";
  const auto sweep = read(text);
  ASSERT_THAT(sweep, IsOk());
  const auto points = points_of(*sweep);
  ASSERT_THAT(points, IsOk());
  ASSERT_EQ(points->size(), 40U);
  EXPECT_EQ(*points_of(*sweep), *points);
  int small = 0;
  std::set<std::string> whole;
  for (const Point& point : *points) {
    whole.insert(point[0]);
    const double rate = read_number<double>(point[1]).value_or(0);
    EXPECT_GE(rate, 0.0001);
    EXPECT_LE(rate, 0.1);
    small += rate < 0.003 ? 1 : 0;
  }
  EXPECT_THAT(whole, ElementsAre("3", "4", "5"));
  EXPECT_GT(small, 10);  // of a linear scale one of 30 would be
  EXPECT_LT(small, 30);
}

TEST_F(SweepConfig, says_what_is_wrong_and_where) {
  const std::string head = "[sweep]\nconfig = \"t.toml\"\n";
  const std::string key = "[keys.\"train.batch\"]\n";
  refused(head, "1 to 12 keys");
  refused(head + "[keys]\nbatch = 3\n", "keys stand in a table each");
  refused(head + "search = \"halfing\"\n" + key + "values = [\"1\"]\n", "did you mean halving?");
  refused(head + "trials = 3\n" + key + "values = [\"1\"]\n", "a grid tries every combination");
  refused(head + "keep = 0.3\n" + key + "values = [\"1\"]\n", "not \"halving\"");
  refused(head + "better = \"most\"\n" + key + "values = [\"1\"]\n", "\"more\" or \"less\"");
  refused(head + key + "values = []\n", "it is empty");
  refused(head + key + "values = [\"1\", \"1\"]\n", "names a value twice");
  refused(head + key + "values = [\"1\"]\nfrom = 1\nto = 2\n", "not both");
  refused(head + key + "from = 1\nto = 2\n", "a grid tries every value");
  refused(head + "search = \"random\"\n" + key + "from = 2\nto = 1\n", "must be above from");
  refused(head + "search = \"random\"\n" + key + "from = 0\nto = 1\nscale = \"log\"\n", "above 0");
  refused(head + "search = \"random\"\n" + key + "from = 1.2\nto = 1.8\nwhole = true\n", "no integer between");
  refused(head + key + "value = [\"1\"]\n", "did you mean");
  const auto few = read(head + "search = \"random\"\ntrials = 9\n" + key + "values = [\"1\", \"2\"]\n");
  ASSERT_THAT(few, IsOk());
  EXPECT_THAT(points_of(*few), ErrorIs(ErrorCode::invalid_argument, HasSubstr("there are 2 different points, not 9")));
  std::string many = head;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    many += "[keys." + std::string(name) + "]\nvalues = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\"]\n";
  }
  const auto grid = read(many);
  ASSERT_THAT(grid, IsOk());
  EXPECT_THAT(points_of(*grid), ErrorIs(ErrorCode::invalid_argument, HasSubstr("more than 10000")));
}

Sweep two_keys() {
  Sweep sweep;
  sweep.file = "rates.toml";
  sweep.config = "fashion.toml";
  sweep.settings = {"train.batch=8", "train.stage_epochs=2"};
  sweep.keys = {{"model.widths", {"[8]", "[8, 16]"}}, {"train.batch", {"8", "16"}}};
  return sweep;
}

std::vector<Trial> some_trials() {
  return {{.number = 1, .point = {"[8]", "8"}, .stage = 1, .value = 0.7, .seconds = 3},
          {.number = 2, .point = {"[8, 16]", "8"}, .stage = 2, .value = 0.65, .seconds = 6},
          {.number = 3, .point = {"[8]", "16"}, .failed = "diverged, at once"},
          {.number = 4, .point = {"[8, 16]", "16"}, .stage = 2, .value = 0.8, .seconds = 6}};
}

TEST(Trials, the_better_ones_go_on_and_who_came_further_stands_before_who_was_left) {
  const auto trials = some_trials();
  std::vector<std::size_t> numbers;
  for (const Trial* trial : best_first(trials, true)) numbers.push_back(trial->number);
  EXPECT_THAT(numbers, ElementsAre(4, 2, 1, 3));
  EXPECT_THAT(that_go_on(trials, 1, 0.5, true), ElementsAre(0, 3));
  EXPECT_THAT(that_go_on(trials, 1, 0.5, false), ElementsAre(0, 1));
  EXPECT_THAT(that_go_on(trials, 1, 0.05, true), ElementsAre(3));
  EXPECT_TRUE(more_is_better("held_out_accuracy"));
  EXPECT_FALSE(more_is_better("held_out_mae_m_per_s"));
  EXPECT_FALSE(more_is_better("held_out_cross_entropy_loss"));
}

TEST(Trials, are_told_as_tables_and_the_best_as_a_drop_in) {
  const auto trials = some_trials();
  EXPECT_THAT(trials_csv(two_keys(), trials, "accuracy", true),
              AllOf(StartsWith("trial,model.widths,train.batch,stage,accuracy,seconds,failed\n4,[8  16],16,2,0.8,6,\n"),
                    HasSubstr("3,[8],16,0,,0,diverged  at once\n")));
  EXPECT_THAT(trials_table(two_keys(), trials, "accuracy", true), HasSubstr("[8, 16]"));
  const std::string drop_in = drop_in_of(two_keys(), trials.back(), "accuracy");
  EXPECT_THAT(drop_in, AllOf(HasSubstr("accuracy = 0.8"), HasSubstr("\ntrain.stage_epochs=2\n"),
                             HasSubstr("\nmodel.widths = [8, 16]\n"), HasSubstr("\ntrain.batch = 16\n"),
                             testing::Not(HasSubstr("train.batch=8"))));
}

TEST(Trials, take_their_progress_from_stages_that_are_whole) {
  const TemporaryFolder folder;
  Trial trial{.number = 12};
  EXPECT_EQ(folder_of(trial), "trial-012");
  EXPECT_THAT(take_progress(folder.path(), "score", 2, trial), IsOk());
  EXPECT_EQ(trial.stage, 0);
  ASSERT_THAT(write_file_durably(folder.path() / "training.csv",
                                 std::string_view("epoch,stage,score,seconds\n1,1,.1,2\n2,1,.2,2\n3,2,.9,2\n")),
              IsOk());
  EXPECT_THAT(take_progress(folder.path(), "score", 2, trial), IsOk());
  EXPECT_EQ(trial.stage, 1);
  EXPECT_EQ(trial.value, 0.2);
  EXPECT_EQ(trial.seconds, 4);
  EXPECT_THAT(take_progress(folder.path(), "scores", 2, trial), ErrorIs(ErrorCode::not_found, HasSubstr("no column 'scores'")));
}

TEST(Trials, are_drawn_as_parallel_coordinates) {
  if (!evaluate::check_drawing()) GTEST_SKIP() << "no gnuplot here";
  const TemporaryFolder folder;
  EXPECT_THAT(draw_sweep(two_keys(), some_trials(), "accuracy", true, folder.path() / "sweep.png"), IsOk());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "sweep.png"));
  EXPECT_THAT(draw_sweep(two_keys(), {some_trials()[2]}, "accuracy", true, folder.path() / "none.png"),
              ErrorIs(ErrorCode::not_found, testing::_));
}

}  // namespace
}  // namespace outcrop::sweep
