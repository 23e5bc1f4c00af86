#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classifier/trained_for_tests.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {
namespace {

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
  static Result<TrainSummary> run(const TrainConfig& config, std::int64_t stages) {
    TrainOptions options;
    options.stages = stages;
    return train(config, options, {});
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

}  // namespace
}  // namespace outcrop::train
