#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classifier/trained_for_tests.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/train/rehearsal.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {
namespace {

using testing::HasSubstr;
using Tensors = std::map<std::string, torch::Tensor>;

void expect_same(const Tensors& first, const Tensors& second) {
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, tensor] : first) {
    ASSERT_TRUE(second.contains(name)) << name;
    EXPECT_TRUE(torch::equal(tensor, second.at(name))) << name;
  }
}

// What a checkpoint's average is of: "average.network.conv1.weight" by "network.conv1.weight".
Tensors averages_in(const Tensors& checkpoint) {
  const std::string prefix(kinds::averaged_prefix);
  Tensors averages;
  for (const auto& [name, tensor] : checkpoint) {
    if (name.starts_with(prefix)) averages.emplace(name.substr(prefix.size()), tensor);
  }
  averages.erase("steps");
  return averages;
}

// A column of training.csv, as text.
std::vector<std::string> column_of(const std::filesystem::path& csv, const std::string& name) {
  const auto table = platform::parse_csv(*read_text_file(csv));
  std::vector<std::string> cells;
  for (const auto& row : table->rows) cells.push_back(row[*table->column(name)]);
  return cells;
}

class ClassifierRun : public testing::Test {
 protected:
  ClassifierRun() {
    EXPECT_THAT(classifier::write_stripes(folder_.path() / "data", "train", 24, 1), IsOk());
    EXPECT_THAT(classifier::write_stripes(folder_.path() / "data", "t10k", 6, 2), IsOk());
  }
  [[nodiscard]] TrainConfig small(const char* out) const {
    TrainConfig config;
    config.name = "stripes";
    config.kind = "classifier";
    config.recipe = std::make_shared<classifier::ClassifierRecipe>(
        classifier::small_recipe(folder_.path() / "data"));
    config.train.out = folder_.path() / out;
    config.train.stage_epochs = 2;
    config.train.batch = 8;
    config.train.threads = 1;
    return config;
  }
  [[nodiscard]] TrainConfig averaging(const char* out) const {
    TrainConfig config = small(out);
    config.train.average = 0.9;
    return config;
  }
  static Result<TrainSummary> run(const TrainConfig& config, std::int64_t stages,
                                  const StageEnd& stage_end = {}, bool allow_change = false) {
    TrainOptions options;
    options.stages = stages;
    options.allow_change = allow_change;
    options.for_int8 = std::make_shared<quantize::AwareTraining>();
    return train(config, options, stage_end);
  }
  [[nodiscard]] Tensors read(const std::string& file) const {
    const auto read = models::read_model_file(folder_.path() / file);
    EXPECT_THAT(read, IsOk());
    return read ? Tensors(read->tensors.begin(), read->tensors.end()) : Tensors();
  }

  TemporaryFolder folder_;
};

// Which images are mirrored, and how far each is moved, is drawn anew in each epoch.
TEST_F(ClassifierRun, goes_on_with_the_bits_of_one_that_never_stopped) {
  ASSERT_THAT(run(small("whole"), 2), IsOk());
  ASSERT_THAT(run(small("stopped"), 1), IsOk());
  ASSERT_THAT(run(small("stopped"), 2), IsOk());
  const auto whole = models::read_model_file(folder_.path() / "whole/stripes_stage2.weights");
  const auto stopped = models::read_model_file(folder_.path() / "stopped/stripes_stage2.weights");
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(stopped, IsOk());
  ASSERT_EQ(whole->tensors.size(), stopped->tensors.size());
  for (std::size_t i = 0; i < whole->tensors.size(); ++i) {
    EXPECT_TRUE(torch::equal(whole->tensors[i].second, stopped->tensors[i].second))
        << whole->tensors[i].first;
  }
  std::ifstream csv(folder_.path() / "stopped/training.csv");
  std::string columns;
  std::getline(csv, columns);
  EXPECT_EQ(columns,
            "epoch,stage,learning_rate,cross_entropy_loss,held_out_cross_entropy_loss,"
            "held_out_accuracy,seconds");
}

// What was there before there were averages, and no more: not a tensor, not a key.
TEST_F(ClassifierRun, leaves_a_checkpoint_as_it_was_where_nothing_is_averaged) {
  ASSERT_THAT(run(small("plain"), 1), IsOk());
  const auto file = models::read_model_file(folder_.path() / "plain/checkpoint");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->about, testing::Not(HasSubstr("average")));
  for (const auto& [name, tensor] : file->tensors) {
    EXPECT_THAT(name, testing::Not(HasSubstr("average")));
  }
}

TEST_F(ClassifierRun, keeps_and_scores_averaged_weights_and_trains_the_others_as_without) {
  ASSERT_THAT(run(small("plain"), 2), IsOk());
  Tensors seen;
  const auto look = [&](const StageContext& context) -> Status {
    for (const auto& [name, tensor] : kinds::state_of(context.task)) seen[name] = tensor.clone();
    return {};
  };
  ASSERT_THAT(run(averaging("averaged"), 2, look), IsOk());
  const Tensors plain = read("plain/checkpoint");
  Tensors averaged = read("averaged/checkpoint");
  const Tensors averages = averages_in(averaged);
  const Tensors weights = read("averaged/stripes_stage2.weights");
  expect_same(weights, seen);
  EXPECT_FALSE(averages.empty());
  bool with_statistics = false;
  for (const auto& [name, weight] : weights) {
    const bool is_averaged = weight.scalar_type() == torch::kFloat;
    EXPECT_EQ(averages.contains(name), is_averaged) << name;
    EXPECT_TRUE(torch::equal(weight, is_averaged ? averages.at(name) : plain.at(name))) << name;
    with_statistics = with_statistics || (name.ends_with("running_var") &&
                                          !torch::equal(weight, plain.at(name)));
  }
  EXPECT_TRUE(with_statistics);
  EXPECT_EQ(averaged.at("average.steps").item<std::int64_t>(), 12);
  std::erase_if(averaged, [](const auto& named) { return named.first.starts_with("average."); });
  expect_same(averaged, plain);

  const auto csv = [&](const char* out) { return folder_.path() / out / "training.csv"; };
  EXPECT_EQ(column_of(csv("averaged"), "cross_entropy_loss"),
            column_of(csv("plain"), "cross_entropy_loss"));
  EXPECT_NE(column_of(csv("averaged"), "held_out_cross_entropy_loss"),
            column_of(csv("plain"), "held_out_cross_entropy_loss"));
}

TEST_F(ClassifierRun, goes_on_averaging_with_the_bits_of_one_that_never_stopped) {
  ASSERT_THAT(run(averaging("whole"), 2), IsOk());
  EXPECT_THAT(run(averaging("stopped"), 1,
                  [](const StageContext&) -> Status { return fail(ErrorCode::io, "the disk is full"); }),
              ErrorIs(ErrorCode::io, HasSubstr("ending stage 1")));
  const Tensors first = read("stopped/stripes_stage1.weights");
  ASSERT_THAT(run(averaging("stopped"), 1), IsOk());
  expect_same(read("stopped/stripes_stage1.weights"), first);
  ASSERT_THAT(run(averaging("stopped"), 2), IsOk());
  expect_same(read("stopped/checkpoint"), read("whole/checkpoint"));
  for (const char* file : {"stripes_stage1.weights", "stripes_stage2.weights"}) {
    expect_same(read("stopped/" + std::string(file)), read("whole/" + std::string(file)));
  }
}

TEST_F(ClassifierRun, begins_and_ends_an_average_on_its_way_where_that_is_allowed) {
  ASSERT_THAT(run(small("run"), 1), IsOk());
  EXPECT_THAT(run(averaging("run"), 2),
              ErrorIs(ErrorCode::invalid_argument,
                      testing::AllOf(HasSubstr("train.average: 0 there, 0.9"),
                                     HasSubstr("--allow-change"))));
  // A stage that is trained ends with the weights that it was trained to.
  const StageEnd failing = [](const StageContext&) -> Status { return fail(ErrorCode::io, "no"); };
  EXPECT_THAT(run(averaging("run"), 2, failing, true), ErrorIs(ErrorCode::io, testing::_));
  EXPECT_EQ(read("run/checkpoint").at("average.steps").item<std::int64_t>(), 6);
  EXPECT_THAT(run(small("run"), 2, {}, true),
              ErrorIs(ErrorCode::invalid_argument,
                      testing::AllOf(HasSubstr("average as it was"), HasSubstr("--stages 2"))));
  ASSERT_THAT(run(averaging("run"), 2), IsOk());
  EXPECT_THAT(*read_text_file(folder_.path() / "run/lineage.json"), HasSubstr("train.average"));

  TrainConfig slower = averaging("run");
  slower.train.average = 0.95;
  ASSERT_THAT(run(slower, 3, {}, true), IsOk());
  EXPECT_EQ(read("run/checkpoint").at("average.steps").item<std::int64_t>(), 12);
  EXPECT_THAT(run(small("run"), 4), ErrorIs(ErrorCode::invalid_argument, HasSubstr(" there, 0 here")));
  ASSERT_THAT(run(small("run"), 4, {}, true), IsOk());
  EXPECT_FALSE(read("run/checkpoint").contains("average.steps"));
}

TEST_F(ClassifierRun, gives_the_averaged_weights_of_a_checkpoint_to_whoever_begins_with_it) {
  ASSERT_THAT(run(averaging("run"), 1), IsOk());
  const auto checkpoint = models::read_model_file(folder_.path() / "run/checkpoint");
  ASSERT_THAT(checkpoint, IsOk());
  const Tensors averages = averages_in(read("run/checkpoint"));
  const auto task = small("run").recipe->open(7);
  ASSERT_THAT(task, IsOk());
  ASSERT_THAT(kinds::take_weights(*checkpoint, **task), IsOk());
  for (const auto& [name, tensor] : kinds::state_of(**task)) {
    if (tensor.scalar_type() != torch::kFloat) continue;
    EXPECT_TRUE(torch::equal(tensor, averages.at(name))) << name;
  }

  TrainConfig fine = small("fine");
  fine.train.learning_rate = 1e-7;
  TrainOptions options;
  options.stages = 1;
  options.init = folder_.path() / "run/checkpoint";
  ASSERT_THAT(train(fine, options, {}), IsOk());
  const Tensors raw = read("run/checkpoint");
  for (const auto& [name, tensor] : read("fine/stripes_stage1.weights")) {
    if (!raw.contains("adam." + name + ".first")) continue;
    EXPECT_TRUE(torch::allclose(tensor, averages.at(name), 0.0, 1e-5)) << name;
    EXPECT_FALSE(torch::allclose(tensor, raw.at(name), 0.0, 1e-5)) << name;
  }
}

// Of a stage of one epoch, whose warm-up ends within it, and of two, whose ranges are frozen between.
TEST_F(ClassifierRun, trains_for_int8_and_goes_on_with_the_bits_of_one_that_never_stopped) {
  for (const std::int64_t epochs : {1, 2}) {
    const auto for_int8 = [&](const std::string& out) {
      TrainConfig config = small((out + std::to_string(epochs)).c_str());
      config.train.stage_epochs = epochs;
      config.train.int8 = {.from = 2, .rate = 0.5, .warm_up = 0.2, .frozen_from = 0.5};
      return config;
    };
    const auto in = [&](const char* out, const char* file) { return out + std::to_string(epochs) + "/" + file; };
    std::vector<bool> trained;
    ASSERT_THAT(run(for_int8("whole"), 3,
                    [&](const StageContext& context) -> Status {
                      trained.push_back(!context.task.trained_ranges().empty());
                      return {};
                    }),
                IsOk());
    EXPECT_EQ(trained, (std::vector{false, true, true}));

    int ends = 0;
    const StageEnd first_fails = [&](const StageContext&) -> Status {
      return ++ends % 2 == 1 ? Status(fail(ErrorCode::io, "the disk is full")) : Status();
    };
    for (int stage = 1; stage <= 3; ++stage) {
      EXPECT_THAT(run(for_int8("stopped"), 3, first_fails), ErrorIs(ErrorCode::io, testing::_));
      ASSERT_THAT(run(for_int8("stopped"), stage, first_fails), IsOk());
    }
    expect_same(read(in("stopped", "checkpoint")), read(in("whole", "checkpoint")));
    for (const char* file : {"stripes_stage1.weights", "stripes_stage2.weights", "stripes_stage3.weights"}) {
      expect_same(read(in("stopped", file)), read(in("whole", file)));
    }
    EXPECT_TRUE(read(in("whole", "stripes_stage2.weights")).contains("qat.network.input"));
    EXPECT_FALSE(read(in("whole", "stripes_stage1.weights")).contains("qat.network.input"));

    // Float by its names: a new run begins with it, and forgets that it was trained for int8.
    TrainConfig fine = small(("fine" + std::to_string(epochs)).c_str());
    TrainOptions options;
    options.stages = 1;
    options.init = folder_.path() / in("whole", "stripes_stage3.weights");
    ASSERT_THAT(train(fine, options, {}), IsOk());
    EXPECT_FALSE(read(in("fine", "stripes_stage1.weights")).contains("qat.network.input"));
  }
}

// A table that cannot be written ends a run behind its first checkpoint, as a kill there would.
TEST_F(ClassifierRun, killed_within_a_stage_for_int8_goes_on_with_frozen_ranges_or_chooses_them_again) {
  for (const double frozen_from : {0.25, 0.5}) {
    SCOPED_TRACE(frozen_from);
    const std::string number = std::to_string(frozen_from);
    const auto for_int8 = [&](const std::string& out) {
      TrainConfig config = small(out.c_str());
      config.train.stage_epochs = 4;
      config.train.int8 = {.from = 1, .rate = 0.5, .warm_up = 0.1, .frozen_from = frozen_from};
      return config;
    };
    ASSERT_THAT(run(for_int8("whole" + number), 1), IsOk());
    const TrainConfig killed = for_int8("killed" + number);
    std::filesystem::create_directories(killed.train.out / "training.csv");
    TrainOptions anew;
    anew.stages = 1;
    anew.resume = TrainOptions::Resume::none;
    anew.for_int8 = std::make_shared<quantize::AwareTraining>();
    EXPECT_FALSE(train(killed, anew, {}).has_value());
    EXPECT_TRUE(read("killed" + number + "/checkpoint").contains("qat.network.input"));
    std::filesystem::remove(killed.train.out / "training.csv");
    ASSERT_THAT(run(killed, 1), IsOk());
    expect_same(read("killed" + number + "/checkpoint"), read("whole" + number + "/checkpoint"));
  }
}

TEST_F(ClassifierRun, refuses_a_warm_up_that_is_all_of_a_stage_for_int8) {
  TrainConfig config = small("run");  // 6 batches a stage
  config.train.int8 = {.from = 2, .rate = 0.5, .warm_up = 0.9, .frozen_from = 0.9};
  EXPECT_THAT(run(config, 1), ErrorIs(ErrorCode::invalid_argument,
                                      testing::AllOf(HasSubstr("train.qat_warm_up"), HasSubstr("6 batches begins at 0.833"),
                                                     HasSubstr("ends at 0.900"))));
  config.train.int8.warm_up = 0.5;
  TrainOptions options;
  options.for_int8 = std::make_shared<quantize::AwareTraining>();
  EXPECT_THAT(look_ahead(config, options), IsOk());
}

TEST_F(ClassifierRun, keeps_as_many_stages_as_it_is_told_and_the_newest_release) {
  TrainConfig config = small("run");
  config.train.keep_stages = 2;
  const auto there = [&](const std::string& name) { return std::filesystem::exists(config.train.out / name); };
  const StageEnd releases_the_first = [&](const StageContext& context) -> Status {
    const std::string number = std::to_string(context.stage);
    std::filesystem::create_directories(config.train.out / ("stage" + number));
    if (context.stage < 3) std::filesystem::create_directories(config.train.out / "releases" / ("stripes-stage" + number));
    return {};
  };
  std::filesystem::create_directories(config.train.out / "releases" / "others-stage1");
  ASSERT_THAT(run(config, 4, releases_the_first), IsOk());
  for (const char* gone : {"stage1", "stage2", "stripes_stage2.weights", "releases/stripes-stage1"}) {
    EXPECT_FALSE(there(gone)) << gone;
  }
  for (const char* kept : {"stage3", "stage4", "stripes_stage3.weights", "stripes_stage4.weights",
                           "releases/stripes-stage2", "releases/others-stage1"}) {
    EXPECT_TRUE(there(kept)) << kept;
  }
  ASSERT_THAT(run(config, 5, releases_the_first), IsOk());
  EXPECT_FALSE(there("stage3"));
}

TEST_F(ClassifierRun, begins_nothing_where_the_disk_does_not_take_a_stage) {
  const TrainConfig config = small("run");
  TrainOptions options;
  options.stages = 1;
  options.free_space = [](const std::filesystem::path&) { return ByteCount::mib(3); };
  EXPECT_THAT(train(config, options, {}),
              ErrorIs(ErrorCode::no_space, testing::AllOf(HasSubstr("has room for"), HasSubstr("a stage takes about"),
                                                          HasSubstr("train.keep_stages"))));
  EXPECT_FALSE(std::filesystem::exists(config.train.out / "checkpoint"));
  EXPECT_THAT(look_ahead(config, options), ErrorIs(ErrorCode::no_space, testing::_));
  // What is trained needs no more room.
  ASSERT_THAT(run(config, 1), IsOk());
  EXPECT_THAT(train(config, options, {}), IsOk());
}

TEST_F(ClassifierRun, tells_what_a_run_takes_by_some_batches_and_writes_nothing) {
  TrainConfig config = small("run");
  config.train.int8.from = 2;
  const auto rehearsal = rehearse(config, 2);
  ASSERT_THAT(rehearsal, IsOk());
  EXPECT_EQ(rehearsal->batches, 3U);
  ASSERT_EQ(rehearsal->stages.size(), 2U);
  EXPECT_FALSE(rehearsal->stages[0].for_int8);
  EXPECT_TRUE(rehearsal->stages[1].for_int8);
  EXPECT_EQ(rehearsal->stages[0].trained, rehearsal->parameters());
  const auto task = config.recipe->open(1);
  ASSERT_THAT(task, IsOk());
  std::int64_t parameters = 0;
  for (const auto& trained : kinds::whole(**task).trained) parameters += trained.tensor.numel();
  EXPECT_EQ(rehearsal->parameters(), parameters);
  EXPECT_GT(rehearsal->batch.count(), 0.0);
  EXPECT_GT(rehearsal->memory, ByteCount::mib(16));
  EXPECT_THAT(rehearsal_text(*rehearsal, config.train),
              testing::AllOf(HasSubstr(std::to_string(parameters) + " parameters"), HasSubstr("whole, for int8"),
                             HasSubstr("3 batches of 8")));
  EXPECT_FALSE(std::filesystem::exists(config.train.out));
}

class NeverForInt8 final : public kinds::TrainingForInt8 {
 public:
  Status choose_ranges(kinds::Task&) override { return fail(ErrorCode::unsupported, "not this network"); }
  Status take_up(kinds::Task&) override { return fail(ErrorCode::internal, "nothing to take up"); }
  void leave(kinds::Task&) override {}
  [[nodiscard]] bool on() const override { return false; }
};

TEST_F(ClassifierRun, hears_at_once_that_it_cannot_be_trained_for_int8_also_where_it_is_to_be_later_on) {
  ASSERT_THAT(run(small("run"), 1), IsOk());
  TrainConfig config = small("run");
  config.train.int8.from = 3;
  TrainOptions options;
  options.stages = 2;
  options.allow_change = true;
  options.for_int8 = std::make_shared<NeverForInt8>();
  EXPECT_THAT(train(config, options, {}), ErrorIs(ErrorCode::unsupported, HasSubstr("not this network")));
  EXPECT_FALSE(std::filesystem::exists(config.train.out / "stripes_stage2.weights"));
}

TEST_F(ClassifierRun, begins_to_train_for_int8_on_its_way_where_that_is_allowed) {
  ASSERT_THAT(run(small("run"), 1), IsOk());
  TrainConfig config = small("run");
  config.train.int8.from = 2;
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.qat_from: 0 there, 2 here")));
  ASSERT_THAT(run(config, 2, {}, true), IsOk());
  EXPECT_TRUE(read("run/stripes_stage2.weights").contains("qat.network.input"));
  ASSERT_THAT(run(small("run"), 3, {}, true), IsOk());
  EXPECT_FALSE(read("run/stripes_stage3.weights").contains("qat.network.input"));
}

}  // namespace
}  // namespace outcrop::train
