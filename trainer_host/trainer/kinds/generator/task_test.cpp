#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/generator/loss.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

using testing::HasSubstr;
using torch::Tensor;

TEST(Batch, a_flip_mirrors_map_shots_and_receivers_and_drops_the_shot_without_mirror) {
  const TemporaryFolder folder;
  ASSERT_THAT(earth::make_toy_data(folder.path(), 3, 1), IsOk());
  const auto data = earth::open_samples({.train = {folder.path()}});
  ASSERT_THAT(data, IsOk());
  const std::vector<kinds::Draw> draws{{1, false}, {1, true}};
  const Batch batch = load_batch(data->training, draws);
  EXPECT_TRUE(torch::equal(batch.velocity[1], batch.velocity[0].flip({2})));
  for (const std::int64_t shot : {0, 1, 3, 4}) {
    EXPECT_TRUE(torch::equal(batch.gathers[1][shot], batch.gathers[0][4 - shot].flip({1})));
  }
  EXPECT_EQ(batch.shot_weight.flatten().sum().item<float>(), 9.0F);
  EXPECT_EQ(batch.shot_weight[1][2].item<float>(), 0.0F);
  const auto map = denormalize_velocity(batch.velocity[0]).flatten();
  EXPECT_NEAR(map[5].item<float>(), data->training.velocity(1)[5], 0.01);
}

TEST(Batch, drops_every_shot_without_mirror_of_another_geometry) {
  data::Geometry wide;
  wide.depth = 16;
  wide.width = 96;
  wide.shots = 3;
  wide.times = 32;
  wide.source_columns = {0, 48, 95};
  wide.slowest = 1000.0F;
  wide.fastest = 3000.0F;
  const TemporaryFolder folder;
  std::vector<float> map(wide.map_size(), 2000.0F);
  map[5] = 3000.0F;
  std::vector<float> gathers(wide.gather_size(), 10.0F);
  std::fill_n(gathers.begin(), wide.shot_size(), 20.0F);
  ASSERT_THAT(data::write_npy(folder.path() / "model1.npy", {1, 1, 16, 96}, map), IsOk());
  ASSERT_THAT(data::write_npy(folder.path() / "data1.npy", {1, 3, 32, 96}, gathers), IsOk());
  ASSERT_THAT(write_file_durably(folder.path() / "dataset.json",
                                 json_text(nlohmann::ordered_json{{"geometry", geometry_json(wide)}})),
              IsOk());
  const auto data = earth::open_samples({.train = {folder.path()}, .only_scored = true});
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->geometry, wide);
  const std::vector<kinds::Draw> draws{{0, true}};
  const Batch batch = load_batch(data->training, draws, data->geometry);
  EXPECT_EQ(batch.velocity.sizes(), (std::vector<std::int64_t>{1, 1, 16, 96}));
  EXPECT_EQ(batch.velocity[0][0][0][90].item<float>(), 1.0F);  // the fastest, mirrored
  EXPECT_EQ(batch.velocity[0][0][0][0].item<float>(), 0.0F);
  EXPECT_TRUE(torch::equal(batch.shot_weight.flatten(), torch::tensor({1.0F, 0.0F, 1.0F})));
  EXPECT_GT(batch.gathers[0][2].max().item<float>(), batch.gathers[0][0].max().item<float>());
}

TEST(Recipe, knows_the_geometry_that_weights_learned_from) {
  const TemporaryFolder folder;
  ASSERT_THAT(earth::make_toy_data(folder.path() / "usual", 3, 1), IsOk());
  GeneratorRecipe recipe;
  recipe.shape = {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};
  recipe.data.train = {folder.path() / "usual"};
  const auto usual = recipe.open(1);
  ASSERT_THAT(usual, IsOk());
  EXPECT_EQ((*usual)->shape(),
            R"({"encoder_width":2,"latent":8,"seismic_width":2,"velocity_width":2})");
  earth::SplitData none;
  none.geometry.depth = 64;
  none.geometry.fastest = 5000.0F;
  auto sized = with_sizes_of(none.geometry, recipe.shape);
  ASSERT_THAT(sized, IsOk());
  GeneratorRecipe other = recipe;
  other.shape = *sized;
  other.shape.levels = 5;
  other.shape.sharpen = 3;
  const std::string shape = GeneratorTask(other, none, 1).shape();
  auto again = make_kind()->recipe(shape);
  ASSERT_THAT(again, IsOk());
  const auto empty = (*again)->open(1);  // without data
  EXPECT_THAT(empty, ErrorIs(ErrorCode::invalid_argument, HasSubstr("at least 2")));
  kinds::DataPlaces places{.train = {}, .only_scored = true};
  (*again)->set_places(places);
  ASSERT_THAT((*again)->open(1), IsOk());
  EXPECT_EQ((*(*again)->open(1))->shape(), shape);
  places.train = recipe.data.train;
  (*again)->set_places(places);
  EXPECT_THAT((*again)->open(1),
              ErrorIs(ErrorCode::invalid_argument,
                      testing::AllOf(HasSubstr("what the model learned from: maps of 64x70"),
                                     HasSubstr("the data: maps of 70x70"))));
}

TEST(HeldOut, score_costs_a_bounded_share_of_an_epoch) {
  EXPECT_EQ(scored_each_epoch(4, 2).gathers, 1U);
  EXPECT_EQ(scored_each_epoch(256, 64).gathers, 16U);
  EXPECT_EQ(scored_each_epoch(256, 64).maps, 64U);
  EXPECT_EQ(scored_each_epoch(100'000, 5000).gathers, 64U);
  EXPECT_EQ(scored_each_epoch(256, 0).gathers, 0U);
}

TEST(Loss, equals_the_formula_in_value_and_gradient_at_any_thread_count) {
  torch::manual_seed(1);
  const auto truth = torch::randn({3, 5, 100, 7});
  const auto weight = torch::ones({3, 5, 1, 1});
  weight[1][2] = 0.0;
  const Tensor prediction = torch::randn({3, 5, 100, 7}).requires_grad_();
  const auto difference = prediction - truth;
  const auto formula =
      ((difference.abs() + difference.pow(2)) * weight).sum() / (weight.sum() * 700.0);
  const auto expected = torch::autograd::grad({formula}, {prediction})[0];
  const int before = at::get_num_threads();
  std::vector<float> values;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const auto loss = gather_loss(prediction, truth, weight);
    EXPECT_NEAR(loss.item<double>(), formula.item<double>(), 1e-5);
    EXPECT_TRUE(
        torch::allclose(torch::autograd::grad({loss * 3.0}, {prediction})[0], expected * 3.0));
    values.push_back(loss.item<float>());
  }
  at::set_num_threads(before);
  EXPECT_EQ(values[0], values[1]);
}

class FirstNonFinite : public testing::Test {
 protected:
  FirstNonFinite() {
    torch::manual_seed(1);
    batch_.velocity = torch::rand({2, 1, 70, 70});
    batch_.gathers = torch::rand({2, 5, 1000, 70});
  }
  Tensor weight(const torch::jit::Module& network, const char* layer) {
    return network.attr(layer).toModule().attr("weight").toTensor();
  }

  static GeneratorRecipe recipe() {
    GeneratorRecipe recipe;
    recipe.shape = {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};
    return recipe;
  }

  GeneratorTask task_{recipe(), {}, 1};
  Generator generator_ = task_.generator();
  Batch batch_;
};

TEST_F(FirstNonFinite, finds_nothing_in_a_sound_network) {
  EXPECT_EQ(task_.non_finite_place(batch_), std::nullopt);
}

TEST_F(FirstNonFinite, names_the_first_layer_that_overflows) {
  torch::NoGradGuard no_gradient;
  weight(generator_.seismic_decoder, "grid").fill_(3e38F);
  EXPECT_EQ(task_.non_finite_place(batch_), "the output of seismic_decoder.grid");
}

TEST_F(FirstNonFinite, names_the_input) {
  batch_.gathers[0][1][2][3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(task_.non_finite_place(batch_), "a gather of the batch");
}

}  // namespace
}  // namespace outcrop::generator
