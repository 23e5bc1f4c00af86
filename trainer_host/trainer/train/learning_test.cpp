#include <gtest/gtest.h>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {
namespace {

std::vector<float> mean_over(const earth::Samples& samples, bool gathers) {
  std::vector<double> sum(gathers ? samples.gathers(0).size() : samples.velocity(0).size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto values = gathers ? samples.gathers(i) : samples.velocity(i);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += values[k];
  }
  std::vector<float> mean(sum.size());
  for (std::size_t k = 0; k < sum.size(); ++k) {
    mean[k] = static_cast<float>(sum[k] / static_cast<double>(samples.size()));
  }
  return mean;
}

std::span<const float> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// The demo's configuration on a smaller scale: what it learned from few maps must carry over to
// maps that it never saw.
TEST(Learning, beats_the_mean_map_and_the_mean_gather_on_samples_held_out) {
  torch::NoGradGuard no_gradient;
  const TemporaryFolder folder;
  const data::Geometry geometry = earth::small_geometry();
  ASSERT_THAT(earth::make_toy_data(folder.path() / "data", 112, 3, geometry), IsOk());
  TrainConfig config;
  config.name = "small";
  config.kind = "generator";
  const auto recipe = std::make_shared<generator::GeneratorRecipe>();
  recipe->shape = {.latent = 64, .encoder_width = 8, .velocity_width = 8, .seismic_width = 4};
  recipe->data = {.train = {folder.path() / "data"}, .held_out = 16};
  config.recipe = recipe;
  config.train.out = folder.path() / "run";
  config.train.stage_epochs = 16;
  config.train.batch = 4;
  config.train.threads = 1;
  {
    torch::AutoGradMode gradient(true);
    TrainOptions options;
    options.stages = 1;
    ASSERT_THAT(train(config, options, {}), IsOk());
  }
  const auto file = models::read_model_file(config.train.out / "small_stage1.weights");
  ASSERT_THAT(file, IsOk());
  const auto opened = recipe->open(0);
  ASSERT_THAT(opened, IsOk());
  auto& task = dynamic_cast<generator::GeneratorTask&>(**opened);
  ASSERT_THAT(kinds::take_weights(*file, task), IsOk());
  const auto& data = task.split();
  generator::Generator model = task.generator();
  const auto mean_map = mean_over(data.training, false);
  const auto mean_gather = mean_over(data.training, true);
  generator::MeanScore map, map_baseline, gather, gather_baseline;
  for (std::size_t i = 0; i < data.held_out.size(); ++i) {
    const std::vector<kinds::Draw> one{{i, false}};
    const auto latent =
        model.encoder.forward({generator::load_batch(data.held_out, one, geometry).velocity}).toTensor();
    const auto velocity = generator::denormalize_velocity(
        model.velocity_decoder.forward({latent}).toTensor());
    const auto pressure =
        generator::denormalize_pressure(model.seismic_decoder.forward({latent}).toTensor());
    const auto true_map = data.held_out.velocity(i);
    const auto true_gather = data.held_out.gathers(i);
    map.add(generator::score_velocity_map(true_map, values_of(velocity), geometry));
    map_baseline.add(generator::score_velocity_map(true_map, mean_map, geometry));
    gather.add(generator::score_shot_gathers(true_gather, values_of(pressure), geometry));
    gather_baseline.add(generator::score_shot_gathers(true_gather, mean_gather, geometry));
  }
  std::printf(
      "map SSIM %.3f (mean %.3f), MAE %.0f (%.0f) m/s; gather SSIM %.3f (%.3f), MAE %.3f (%.3f)\n",
      map.mean().ssim, map_baseline.mean().ssim, map.mean().mae, map_baseline.mean().mae,
      gather.mean().ssim, gather_baseline.mean().ssim, gather.mean().mae,
      gather_baseline.mean().mae);
  EXPECT_GT(map.mean().ssim, map_baseline.mean().ssim + 0.03);
  EXPECT_LT(map.mean().mae, 0.6 * map_baseline.mean().mae);
  EXPECT_LT(gather.mean().mae, gather_baseline.mean().mae);
  EXPECT_GT(gather.mean().ssim, gather_baseline.mean().ssim + 0.01);
}

}  // namespace
}  // namespace outcrop::train
