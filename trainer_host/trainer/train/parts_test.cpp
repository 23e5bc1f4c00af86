#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/kinds/draws.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/train/finite.hpp"
#include "trainer_host/trainer/train/history.hpp"
#include "trainer_host/trainer/train/schedule.hpp"

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
  const auto first = kinds::draw_epoch(7, 3, 100, true);
  std::set<std::size_t> seen;
  std::size_t flipped = 0;
  for (const kinds::Draw& draw : first) {
    seen.insert(draw.sample);
    flipped += draw.mirrored ? 1 : 0;
  }
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_GT(flipped, 30U);
  EXPECT_LT(flipped, 70U);
  const auto order = [](const std::vector<kinds::Draw>& draws) {
    std::vector<std::size_t> samples;
    for (const kinds::Draw& draw : draws) samples.push_back(draw.sample);
    return samples;
  };
  EXPECT_EQ(order(kinds::draw_epoch(7, 3, 100, true)), order(first));
  EXPECT_NE(order(kinds::draw_epoch(7, 4, 100, true)), order(first));
  EXPECT_NE(order(kinds::draw_epoch(8, 3, 100, true)), order(first));
}

TEST(Draws, batches_share_an_epoch_evenly) {
  const std::vector<kinds::Draw> epoch(10);
  std::size_t total = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto batch = kinds::batch_of(epoch, i, 3);
    EXPECT_GE(batch.size(), 3U);
    EXPECT_LE(batch.size(), 4U);
    total += batch.size();
  }
  EXPECT_EQ(total, 10U);
}

TEST(HistoryTable, of_earlier_versions_is_read_and_gains_columns) {
  const auto old = history_from_json("[[1,1,0.001,0.5,0.8,0.6,200.0,3.5]]");
  ASSERT_THAT(old, IsOk());
  EXPECT_EQ(old->last("gather_loss"), 0.8);
  const History history = with_columns(
      *old, {"velocity_loss", "gather_loss", "held_out_gather_loss", "held_out_ssim"});
  EXPECT_THAT(to_csv(history), HasSubstr("\n1,1,0.001,0.5,0.8,,0.6,3.5\n"));
  History changed = history;
  changed.rows.front().values[2] = 0.25;
  changed.rows.front().values[3] = std::nan("");  // no number, and so an empty cell
  EXPECT_THAT(to_csv(changed), HasSubstr(",0.8,0.25,,3.5\n"));
  changed.rows.front().values[3] = std::nullopt;
  const auto again = history_from_json(history_to_json(changed));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->columns, changed.columns);
  EXPECT_EQ(again->rows.front().values, changed.rows.front().values);
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
  static generator::GeneratorRecipe recipe() {
    generator::GeneratorRecipe recipe;
    recipe.shape = {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};
    return recipe;
  }
  Tensor weight(const char* layer) {
    return task_.generator().velocity_decoder.attr(layer).toModule().attr("weight").toTensor();
  }

  generator::GeneratorTask task_{recipe(), {}, 1};
};

TEST_F(FirstNonFinite, finds_nothing_in_a_sound_network) {
  EXPECT_EQ(first_non_finite(task_, std::nullopt), std::nullopt);
}

TEST_F(FirstNonFinite, names_the_weight_before_what_came_of_it) {
  torch::NoGradGuard no_gradient;
  weight("mix2").flatten()[3] = std::nanf("");
  EXPECT_EQ(first_non_finite(task_, "the output of velocity_decoder.mix2"),
            "the weight velocity_decoder.mix2.weight");
}

TEST_F(FirstNonFinite, names_the_gradient_nearest_to_the_loss) {
  for (const char* layer : {"mix1", "mix3"}) {
    auto tensor = weight(layer);
    tensor.mutable_grad() = torch::full(tensor.sizes(), std::nanf(""));
  }
  EXPECT_EQ(first_non_finite(task_, std::nullopt),
            "the gradient of velocity_decoder.mix3.weight");
}

}  // namespace
}  // namespace outcrop::train
