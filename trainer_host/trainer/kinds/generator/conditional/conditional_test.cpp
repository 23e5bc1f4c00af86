#include <gmock/gmock.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/agreeing_noise.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/given_map.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/noise_space.hpp"

namespace outcrop::generator {
namespace {

using testing::HasSubstr;
using torch::Tensor;

Tensor normal_rows(std::int64_t rows, std::int64_t values, std::uint64_t seed) {
  auto random = at::detail::createCPUGenerator(seed);
  return torch::randn({rows, values}, random);
}

// Where maps are linear in noise, what noise is once cells are known is a Gaussian with a formula.
TEST(AgreeingNoise, of_linear_maps_is_drawn_from_the_conditioned_gaussian) {
  constexpr std::int64_t values = 3;
  const Tensor matrix = normal_rows(4, values, 1) * 100.0;  // 2 × 2 cells
  const auto maps = [&](const Tensor& noise) { return (noise.matmul(matrix.t()) + 2000.0).reshape({-1, 2, 2}); };
  KnownCells cells{torch::tensor({{2150.0F, 0.0F}, {1900.0F, 0.0F}}), torch::tensor({{1.0F, 0.0F}, {1.0F, 0.0F}}), 20.0};
  std::size_t last = 0;
  const Tensor found = agreeing_noise(maps, normal_rows(3000, values, 2), cells, 3,
                                      [&](std::size_t done, std::size_t total) { last = done == total ? done : 0; });
  EXPECT_GT(last, 0U);
  const Tensor known = torch::stack({matrix[0], matrix[2]});
  const Tensor told = torch::tensor({150.0F, -100.0F});
  const double variance = 20.0 * 20.0 * 8.0;
  const Tensor covariance = torch::inverse(torch::eye(values) + known.t().matmul(known) / variance);
  const Tensor mean = covariance.matmul(known.t().matmul(told)) / variance;
  EXPECT_LT((found.mean(0) - mean).abs().max().item<double>(), 0.05);
  const Tensor centred = found - found.mean(0);
  EXPECT_LT((centred.t().matmul(centred) / 3000.0 - covariance).abs().max().item<double>(), 0.05);
}

TEST(AgreeingNoise, leaves_noise_that_agrees_where_it_is) {
  const auto maps = [](const Tensor& noise) { return noise.reshape({-1, 1, 2}) * 1.0; };
  const Tensor noise = normal_rows(5, 2, 4);
  const KnownCells nothing{torch::zeros({1, 2}), torch::zeros({1, 2}), 1.0};
  EXPECT_LT((agreeing_noise(maps, noise, nothing, 1, {}) - noise).abs().max().item<double>(), 1e-6);
}

TEST(NoiseSpace, of_a_gaussian_turns_latents_towards_noise_and_stays_as_likely) {
  const LatentPrior prior{torch::tensor({1.0F, -2.0F, 0.5F, 3.0F}), torch::eye(4) * 2.0};
  const NoiseSpace space(prior, std::nullopt);
  const Tensor noise = space.draw(4000, 7);
  EXPECT_NEAR(noise.std().item<double>(), 1.0, 0.03);
  EXPECT_TRUE(torch::allclose(space.latents(noise), prior.mean + 2.0 * noise, 1e-5, 1e-5));
  const Tensor others = space.latents(space.draw(4000, 8));
  EXPECT_TRUE(torch::allclose(space.around(others, noise, 0.0), others, 1e-4, 1e-4));
  EXPECT_TRUE(torch::allclose(space.around(others, noise, 1.0), space.latents(noise), 1e-4, 1e-4));
  const Tensor half = space.around(others, noise, 0.6);
  EXPECT_NEAR(((half - prior.mean) / 2.0).std().item<double>(), 1.0, 0.03);
  EXPECT_LT((half - others).abs().mean().item<double>(), (space.latents(noise) - others).abs().mean().item<double>());
}

data::Geometry tiny() {
  data::Geometry geometry;
  geometry.depth = 2;
  geometry.width = 3;
  return geometry;
}

kinds::Conditions known(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  kinds::Conditions conditions;
  conditions.given = runtime::Tensor::of_floats("", std::move(shape), values);
  return conditions;
}

TEST(GivenMap, takes_one_sample_of_several_and_of_it_the_columns_named) {
  auto conditions = known({2, 1, 2, 3}, {1, 1, 1, 1, 1, 1, 1600, 1700, 1800, 1900, 2000, 2100});
  conditions.sample = 1;
  conditions.columns = {0, 2};
  const auto map = given_map(conditions, tiny());
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->known, 4U);
  EXPECT_EQ(map->values[0], 1600.0F);
  EXPECT_TRUE(std::isnan(map->values[1]));
  EXPECT_EQ(map->whole[1], 1700.0F);
  EXPECT_EQ(map->values[5], 2100.0F);
  EXPECT_TRUE(map->remarks.empty());
}

TEST(GivenMap, holds_what_lies_outside_of_the_bounds_and_says_how_much) {
  const auto map = given_map(known({2, 3}, {1600, 1700, 9000, 1900, 2000, NAN}), tiny());
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->values[2], 4500.0F);
  ASSERT_EQ(map->remarks.size(), 1U);
  EXPECT_THAT(map->remarks[0], HasSubstr("1 of 5 known cells lie outside of 1500 to 4500 m/s"));
}

TEST(GivenMap, says_what_is_wrong_and_what_would_be_right) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(given_map(known({3, 2}, {1, 2, 3, 4, 5, 6}), tiny()),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("maps of this model are float32 [2, 3]")));
  EXPECT_THAT(given_map(known({6}, {1, 2, 3, 4, 5, 6}), tiny()), ErrorIs(ErrorCode::invalid_argument, HasSubstr("[6]")));
  EXPECT_THAT(given_map(known({2, 3}, {none, none, none, none, none, none}), tiny()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("nothing is known")));
  EXPECT_THAT(given_map(known({2, 3}, {1.6F, 1.7F, 1.8F, 1.9F, 2.0F, 2.1F}), tiny()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("kilometres a second")));
  auto conditions = known({2, 3}, {1600, 1700, 1800, 1900, 2000, 2100});
  conditions.columns = {3};
  EXPECT_THAT(given_map(conditions, tiny()), ErrorIs(ErrorCode::invalid_argument, HasSubstr("columns 0 to 2")));
  conditions.columns.clear();
  conditions.sample = 1;
  EXPECT_THAT(given_map(conditions, tiny()), ErrorIs(ErrorCode::invalid_argument, HasSubstr("samples 0 to 0")));
}

}  // namespace
}  // namespace outcrop::generator
