#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace outcrop::generator {
namespace {

// The expected figures come from a direct two-dimensional convolution with an outer-product
// window, written independently of the separable code under test.
constexpr std::size_t rows = 20;
constexpr std::size_t columns = 30;

std::vector<float> waves(double phase) {
  std::vector<float> image;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      image.push_back(
          static_cast<float>(0.5 + 0.4 * std::sin(0.3 * static_cast<double>(r) + phase) *
                                       std::cos(0.2 * static_cast<double>(c))));
    }
  }
  return image;
}

std::vector<float> step(std::size_t edge) {
  std::vector<float> image;
  for (std::size_t i = 0; i < rows * columns; ++i) {
    image.push_back(i / columns < edge ? 0.2F : 0.8F);
  }
  return image;
}

std::vector<float> ramp(int shift) {
  std::vector<float> map;
  for (int i = 0; i < 70 * 70; ++i) {
    map.push_back(1500.0F + 3000.0F * static_cast<float>(std::max(0, i / 70 - shift)) / 69.0F);
  }
  return map;
}

TEST(Metrics, similarity_agrees_with_an_independent_reference) {
  EXPECT_NEAR(structural_similarity(waves(0), waves(0.5), rows, columns), 0.876232777, 1e-6);
  EXPECT_NEAR(structural_similarity(step(10), step(12), rows, columns), 0.631326463, 1e-6);
  EXPECT_NEAR(structural_similarity(waves(0), step(10), rows, columns), 0.306863916, 1e-6);
}

TEST(Metrics, similarity_pads_borders_with_zeros) {
  const std::vector<float> dark(rows * columns, 0.25F);
  const std::vector<float> bright(rows * columns, 0.75F);
  EXPECT_NEAR(structural_similarity(dark, bright, rows, columns), 0.460343739, 1e-6);
}

TEST(Metrics, equal_images_are_similar_to_one) {
  EXPECT_DOUBLE_EQ(structural_similarity(waves(0), waves(0), rows, columns), 1.0);
}

TEST(Metrics, velocity_maps_are_scored_in_metres_per_second) {
  const Score score = score_velocity_map(ramp(0), ramp(3));
  EXPECT_NEAR(score.ssim, 0.936350081, 1e-6);
  EXPECT_NEAR(score.mae, 126.708075, 1e-3);
  EXPECT_NEAR(score.rmse, 128.137113, 1e-3);
}

TEST(Metrics, gathers_of_opposite_sign_are_worse_than_silence) {
  std::vector<float> truth(5 * 1000 * 70);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    truth[i] = 20.0F * std::sin(static_cast<float>(i / 70) * 0.2F);
  }
  std::vector<float> opposite = truth;
  for (float& value : opposite) value = -value;
  const std::vector<float> silence(truth.size(), 0.0F);
  EXPECT_DOUBLE_EQ(score_shot_gathers(truth, truth).ssim, 1.0);
  EXPECT_LT(score_shot_gathers(truth, opposite).ssim, score_shot_gathers(truth, silence).ssim);
  EXPECT_NEAR(score_shot_gathers(truth, opposite).mae, 2 * score_shot_gathers(truth, silence).mae,
              1e-4);
}

TEST(Metrics, a_nan_is_never_hidden) {
  std::vector<float> broken = ramp(0);
  broken[1000] = std::numeric_limits<float>::quiet_NaN();
  const Score score = score_velocity_map(ramp(0), broken);
  EXPECT_TRUE(std::isnan(score.ssim));
  EXPECT_TRUE(std::isnan(score.mae));
  EXPECT_TRUE(std::isnan(max_absolute_error(ramp(0), broken)));
}

TEST(Metrics, mean_of_scores_takes_the_root_last) {
  MeanScore mean;
  mean.add({1.0, 10.0, 3.0});
  mean.add({0.5, 30.0, 4.0});
  EXPECT_DOUBLE_EQ(mean.mean().ssim, 0.75);
  EXPECT_DOUBLE_EQ(mean.mean().mae, 20.0);
  EXPECT_DOUBLE_EQ(mean.mean().rmse, std::sqrt(12.5));
  EXPECT_EQ(mean.count(), 2U);
}

}  // namespace
}  // namespace outcrop::generator
