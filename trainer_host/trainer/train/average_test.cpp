#include "trainer_host/trainer/train/average.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "tests/support/result_matchers.hpp"

namespace outcrop::train {
namespace {

using testing::HasSubstr;
using torch::Tensor;

// As a step of an optimizer does.
void move_by(const Tensor& weight, double step) {
  const torch::NoGradGuard no_gradient;
  weight.add_(step);
}

std::vector<std::string> names_of(const models::NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

models::NamedTensors copy_of(const models::NamedTensors& tensors) {
  models::NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.clone());
  return copies;
}

TEST(Average, is_what_the_formula_says_from_the_warm_up_on) {
  constexpr double decay = 0.25;  // reached at the third step
  const Tensor weight = torch::tensor({1.0F, -2.0F}).requires_grad_();
  Average average({{"w", weight}}, decay);
  double moved = 0.0;  // of both values, from where they began
  double by_hand = 0.0;
  for (int t = 0; t < 6; ++t) {
    const double step = 0.5 + 0.25 * t;
    move_by(weight, step);
    average.update();
    moved += step;
    const double b = std::min(decay, (1.0 + t) / (10.0 + t));
    by_hand = b * by_hand + (1.0 - b) * moved;
    const Tensor expected = torch::tensor({1.0F, -2.0F}) + by_hand;
    EXPECT_TRUE(torch::allclose(average.state().back().second, expected, 1e-6, 1e-6)) << t;
  }
  EXPECT_FALSE(average.state().back().second.requires_grad());
  EXPECT_EQ(average.state().front().second.item<std::int64_t>(), 6);
}

TEST(Average, becomes_what_is_trained_no_more) {
  const Tensor encoder = torch::zeros({2}).requires_grad_();
  const Tensor denoiser = torch::zeros({2}).requires_grad_();
  Average average({{"encoder.w", encoder}, {"denoiser.w", denoiser}}, 0.9);
  for (int i = 0; i < 5; ++i) {
    move_by(encoder, 1.0);
    average.update();
  }
  const float mean = average.state()[1].second[0].item<float>();
  ASSERT_LT(mean, 5.0F);
  average.settle({"denoiser.w"});
  EXPECT_EQ(encoder[0].item<float>(), mean);
  EXPECT_EQ(average.state()[0].second.item<std::int64_t>(), 0) << "the warm-up begins anew";
  for (int i = 0; i < 5; ++i) {
    move_by(denoiser, 1.0);
    average.update();
  }
  EXPECT_EQ(average.state()[1].second[0].item<float>(), mean) << "to the bit";
  EXPECT_GT(average.state()[2].second[0].item<float>(), 1.0F);
}

TEST(Average, is_of_floats_that_are_finite_and_of_nothing_where_it_is_off) {
  const Tensor mask = torch::full({2}, -std::numeric_limits<float>::infinity());
  const models::NamedTensors weights{{"part.w", torch::ones({2})},
                                     {"part.norm.num_batches_tracked", torch::tensor(3)},
                                     {"part.mask", mask},
                                     {"part.norm.running_var", torch::ones({2})}};
  Average average(weights, 0.9);
  average.update();
  EXPECT_THAT(names_of(average.state()),
              testing::ElementsAre("average.steps", "average.part.w", "average.part.norm.running_var"));
  Average off(weights, 0.0);
  off.update();
  EXPECT_FALSE(off.on());
  EXPECT_TRUE(off.state().empty());
  const AveragedWeights nothing(off);
  EXPECT_TRUE(torch::equal(weights[0].second, torch::ones({2})));
}

TEST(Average, takes_the_place_of_the_weights_until_its_scope_is_left_in_whichever_way) {
  const Tensor plain = torch::rand({3, 5}).requires_grad_();
  const Tensor turned = torch::rand({3, 5}).t();
  const Tensor every_second = torch::rand({4, 6}).slice(1, 0, 6, 2);
  const models::NamedTensors weights{
      {"plain", plain}, {"turned", turned}, {"strided", every_second}, {"tied", plain}};
  Average average(weights, 0.9);
  for (const auto& [name, weight] : weights) move_by(weight, 1.0);
  average.update();
  const auto raw = copy_of(weights);
  const auto averaged = copy_of(average.state());
  const auto expect_raw = [&] {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_TRUE(torch::equal(weights[i].second, raw[i].second)) << weights[i].first;
      EXPECT_TRUE(torch::equal(average.state()[i + 1].second, averaged[i + 1].second));
    }
  };
  try {
    const AveragedWeights guard(average);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_TRUE(torch::equal(weights[i].second, averaged[i + 1].second)) << weights[i].first;
      EXPECT_FALSE(torch::equal(weights[i].second, raw[i].second)) << weights[i].first;
    }
    throw std::runtime_error("a score could not be had");
  } catch (const std::runtime_error&) {
    expect_raw();
  }
  { const AveragedWeights guard(average); }
  expect_raw();
  EXPECT_TRUE(plain.requires_grad());
}

TEST(Average, taken_up_goes_on_as_if_never_stopped) {
  const Tensor whole = torch::rand({7});
  Average average({{"w", whole}}, 0.9);
  move_by(whole, 0.3);
  average.update();
  auto saved = copy_of(average.state());
  const Tensor resumed = whole.clone();
  Average other({{"w", resumed}}, 0.9);
  ASSERT_THAT(other.take_up(saved), IsOk());
  for (const Tensor& weight : {whole, resumed}) move_by(weight, 0.7);
  average.update();
  other.update();
  for (std::size_t i = 0; i < saved.size(); ++i) {
    EXPECT_TRUE(torch::equal(average.state()[i].second, other.state()[i].second));
  }
  saved.pop_back();
  EXPECT_THAT(other.take_up(saved), ErrorIs(ErrorCode::invalid_data, HasSubstr("average.w is missing")));
  // Of a run that averaged nothing so far.
  ASSERT_THAT(other.take_up({{"w", whole}}), IsOk());
  EXPECT_EQ(other.state().front().second.item<std::int64_t>(), 0);
  EXPECT_TRUE(torch::equal(other.state().back().second, resumed));
}

}  // namespace
}  // namespace outcrop::train
