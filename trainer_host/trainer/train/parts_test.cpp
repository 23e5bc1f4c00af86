#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/models/normalization.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/train/epoch.hpp"
#include "trainer_host/trainer/train/finite.hpp"
#include "trainer_host/trainer/train/history.hpp"
#include "trainer_host/trainer/train/loss.hpp"
#include "trainer_host/trainer/train/samples.hpp"
#include "trainer_host/trainer/train/schedule.hpp"
#include "trainer_host/trainer/train/toy_data.hpp"

namespace outcrop::train {
namespace {

using testing::HasSubstr;
using torch::Tensor;

TEST(Schedule, rises_to_the_peak_and_falls_to_almost_nothing) {
  EXPECT_NEAR(learning_rate(1.0, 0.0), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(1.0, 1.0 / 6.0), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate(1.0, 1.0), 0.01, 1e-12);
  for (double progress = 0.2; progress < 0.98; progress += 0.01) {
    EXPECT_GT(learning_rate(1.0, progress), learning_rate(1.0, progress + 0.01));
  }
}

TEST(Draws, an_epoch_holds_every_sample_once_and_depends_on_seed_and_epoch_alone) {
  const auto first = draw_epoch(7, 3, 100, true);
  std::set<std::size_t> seen;
  std::size_t flipped = 0;
  for (const Draw& draw : first) {
    seen.insert(draw.sample);
    flipped += draw.flipped ? 1 : 0;
  }
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_GT(flipped, 30U);
  EXPECT_LT(flipped, 70U);
  const auto order = [](const std::vector<Draw>& draws) {
    std::vector<std::size_t> samples;
    for (const Draw& draw : draws) samples.push_back(draw.sample);
    return samples;
  };
  EXPECT_EQ(order(draw_epoch(7, 3, 100, true)), order(first));
  EXPECT_NE(order(draw_epoch(7, 4, 100, true)), order(first));
  EXPECT_NE(order(draw_epoch(8, 3, 100, true)), order(first));
}

TEST(Draws, batches_share_an_epoch_evenly) {
  const std::vector<Draw> epoch(10);
  std::size_t total = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto batch = batch_of(epoch, i, 3);
    EXPECT_GE(batch.size(), 3U);
    EXPECT_LE(batch.size(), 4U);
    total += batch.size();
  }
  EXPECT_EQ(total, 10U);
}

TEST(Batch, a_flip_mirrors_map_shots_and_receivers_and_drops_the_shot_without_mirror) {
  const TemporaryFolder folder;
  ASSERT_THAT(make_toy_data(folder.path(), 3, 1), IsOk());
  const auto data = open_samples({.train = {folder.path()}});
  ASSERT_THAT(data, IsOk());
  const std::vector<Draw> draws{{1, false}, {1, true}};
  const Batch batch = load_batch(data->training, draws);
  EXPECT_TRUE(torch::equal(batch.velocity[1], batch.velocity[0].flip({2})));
  for (const std::int64_t shot : {0, 1, 3, 4}) {
    EXPECT_TRUE(torch::equal(batch.gathers[1][shot], batch.gathers[0][4 - shot].flip({1})));
  }
  EXPECT_EQ(batch.shot_weight.flatten().sum().item<float>(), 9.0F);
  EXPECT_EQ(batch.shot_weight[1][2].item<float>(), 0.0F);
  const auto map = models::denormalize_velocity(batch.velocity[0]).flatten();
  EXPECT_NEAR(map[5].item<float>(), data->training.velocity(1)[5], 0.01);
}

TEST(History, rows_of_earlier_versions_have_no_losses_of_held_out_samples) {
  const auto rows = history_from_json("[[1,1,0.001,0.5,0.8,0.6,200.0,3.5]]");
  ASSERT_THAT(rows, IsOk());
  EXPECT_FALSE(rows->front().held_out_gather_loss);
  EXPECT_THAT(to_csv(*rows), HasSubstr("\n1,1,0.001,0.5,0.8,,,0.6,200,3.5\n"));
  EpochRecord row = rows->front();
  row.held_out_velocity_loss = 0.25;
  row.held_out_gather_loss = 0.125;
  row.held_out_ssim = std::nan("");  // no number, and so an empty cell
  const auto again = history_from_json(history_to_json({row}));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->front().held_out_velocity_loss, 0.25);
  EXPECT_THAT(to_csv({row}), HasSubstr(",0.25,0.125,,200,3.5\n"));
}

TEST(HeldOut, score_costs_a_bounded_share_of_an_epoch) {
  EXPECT_EQ(scored_each_epoch(4, 2).gathers, 1U);
  EXPECT_EQ(scored_each_epoch(256, 64).gathers, 16U);
  EXPECT_EQ(scored_each_epoch(256, 64).maps, 64U);
  EXPECT_EQ(scored_each_epoch(100'000, 5000).gathers, 64U);
  EXPECT_EQ(scored_each_epoch(256, 0).gathers, 0U);
}

TEST(Samples, holding_out_leaves_at_least_two) {
  const TemporaryFolder folder;
  ASSERT_THAT(make_toy_data(folder.path(), 4, 1), IsOk());
  const auto split = open_samples({.train = {folder.path()}, .held_out = 2});
  ASSERT_THAT(split, IsOk());
  EXPECT_EQ(split->training.size(), 2U);
  EXPECT_EQ(split->held_out.velocity(0)[9],
            open_samples({.train = {folder.path()}})->training.velocity(2)[9]);
  EXPECT_THAT(open_samples({.train = {folder.path()}, .held_out = 3}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("at least 2")));
}

TEST(Samples, of_several_folders_stand_one_behind_the_other) {
  const TemporaryFolder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  ASSERT_THAT(make_toy_data(first, 3, 1), IsOk());
  ASSERT_THAT(make_toy_data(second, 2, 2), IsOk());
  const auto both = open_samples({.train = {first, second}, .held_out = 3});
  ASSERT_THAT(both, IsOk());
  EXPECT_EQ(both->training.size(), 2U);
  EXPECT_EQ(both->held_out.size(), 3U);
  const auto alone = open_samples({.train = {second}});
  ASSERT_THAT(alone, IsOk());
  const auto same = [](std::span<const float> a, std::span<const float> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  EXPECT_TRUE(same(both->held_out.gathers(1), alone->training.gathers(0)));
  EXPECT_TRUE(same(both->held_out.velocity(2), alone->training.velocity(1)));
  // Their order decides which sample comes when; one folder's digest is its own.
  EXPECT_NE(both->data_digest, open_samples({.train = {second, first}})->data_digest);
  EXPECT_EQ(alone->data_digest, data::Dataset::open(second)->digest());
  EXPECT_THAT(open_samples({.train = {first, first}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("hold the same samples")));
}

TEST(Samples, held_out_are_not_those_to_train_on) {
  const TemporaryFolder folder;
  const auto train = folder.path() / "train", copy = folder.path() / "copy";
  const auto other = folder.path() / "other";
  ASSERT_THAT(make_toy_data(train, 3, 1), IsOk());
  ASSERT_THAT(make_toy_data(other, 2, 2), IsOk());
  ASSERT_THAT(make_toy_data(copy, 2, 1), IsOk());  // its first two samples
  EXPECT_THAT(open_samples({.train = {train}, .validation = {train}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: each")));
  EXPECT_THAT(open_samples({.train = {train}, .validation = {copy}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: each")));
  const auto some = open_samples({.train = {train}, .validation = {other, copy}});
  ASSERT_THAT(some, IsOk());
  EXPECT_EQ(some->shared, 2U);
  const auto none = open_samples({.train = {train}, .validation = {other}});
  ASSERT_THAT(none, IsOk());
  EXPECT_EQ(none->shared, 0U);
  EXPECT_NE(none->validation_digest, some->validation_digest);
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

TEST(Adam, steps_as_torch_does) {
  torch::manual_seed(2);
  const auto start = torch::randn({50});
  const Tensor ours = start.clone().requires_grad_();
  const Tensor theirs = start.clone().requires_grad_();
  Adam adam({{"w", ours}}, 0.1);
  torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
  for (int i = 0; i < 20; ++i) {
    for (const Tensor& weight : {ours, theirs}) {
      weight.mutable_grad().reset();
      (weight - 1.0).pow(4).sum().backward();
    }
    adam.step(0.01, 1.0);
    reference.step();
  }
  EXPECT_TRUE(torch::allclose(ours, theirs, 1e-4, 1e-5));
  EXPECT_FALSE(torch::allclose(ours, start));
}

TEST(Adam, restored_state_goes_on_as_if_never_stopped) {
  const auto gradient_step = [](Adam& adam, const Tensor& weight) {
    adam.zero_gradients();
    weight.pow(2).sum().backward();
    adam.step(0.1, 1.0);
  };
  const Tensor whole = torch::full({4}, 2.0F).requires_grad_();
  Adam adam({{"w", whole}}, 0.0);
  gradient_step(adam, whole);
  models::NamedTensors saved;
  for (const auto& [name, tensor] : adam.state()) saved.emplace_back(name, tensor.clone());
  const Tensor resumed = whole.detach().clone().requires_grad_();
  Adam other({{"w", resumed}}, 0.0);
  ASSERT_THAT(other.restore(saved), IsOk());
  gradient_step(adam, whole);
  gradient_step(other, resumed);
  EXPECT_TRUE(torch::equal(whole, resumed));
  saved.pop_back();
  EXPECT_THAT(other.restore(saved), ErrorIs(ErrorCode::invalid_data, HasSubstr("adam.w.second")));
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

  models::Generator generator_ = models::make_generator(
      {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2}, 1);
  Batch batch_;
};

TEST_F(FirstNonFinite, finds_nothing_in_a_sound_network) {
  EXPECT_EQ(first_non_finite(generator_, batch_), std::nullopt);
}

TEST_F(FirstNonFinite, names_the_weight) {
  torch::NoGradGuard no_gradient;
  weight(generator_.velocity_decoder, "mix2").flatten()[3] = std::nanf("");
  EXPECT_EQ(first_non_finite(generator_, batch_), "the weight velocity_decoder.mix2.weight");
}

TEST_F(FirstNonFinite, names_the_first_layer_that_overflows) {
  torch::NoGradGuard no_gradient;
  weight(generator_.seismic_decoder, "grid").fill_(3e38F);
  EXPECT_EQ(first_non_finite(generator_, batch_), "the output of seismic_decoder.grid");
}

TEST_F(FirstNonFinite, names_the_input) {
  batch_.gathers[0][1][2][3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(first_non_finite(generator_, batch_), "a gather of the batch");
}

TEST_F(FirstNonFinite, names_the_gradient_nearest_to_the_loss) {
  for (const char* layer : {"mix1", "mix3"}) {
    auto tensor = weight(generator_.velocity_decoder, layer);
    tensor.mutable_grad() = torch::full(tensor.sizes(), std::nanf(""));
  }
  EXPECT_EQ(first_non_finite(generator_, batch_), "the gradient of velocity_decoder.mix3");
}

}  // namespace
}  // namespace outcrop::train
