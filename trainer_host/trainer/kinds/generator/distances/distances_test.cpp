#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/kinds/generator/distances/feature_distance.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"
#include "trainer_host/trainer/kinds/generator/distances/set_distance.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

TEST(FrechetDistance, is_what_it_is_by_hand_between_normal_distributions) {
  torch::manual_seed(1);
  const Tensor x = torch::randn({4000, 3}, torch::kDouble);
  EXPECT_NEAR(frechet_distance(x, x), 0.0, 1e-9);
  EXPECT_NEAR(frechet_distance(x, x + 2.0), 3 * 4.0, 1e-9);
  // Deviations s and 2 s: (2 s - s)² for each dimension.
  const double variances = x.var(0).sum().item<double>();
  EXPECT_NEAR(frechet_distance(x - x.mean(0), 2 * (x - x.mean(0))), variances, 1e-6);
  EXPECT_NEAR(frechet_distance(x, x.flip(1)), frechet_distance(x.flip(1), x), 1e-9);
  // Features that never vary, as of a model that has collapsed.
  EXPECT_NEAR(frechet_distance(x, torch::zeros_like(x)), x.mean(0).pow(2).sum().item<double>() + variances, 1e-6);
  EXPECT_THROW((void)frechet_distance(x, x.slice(1, 0, 2)), c10::Error);
  EXPECT_THROW((void)frechet_distance(x, x.slice(0, 0, 1)), c10::Error);
}

TEST(KernelDistance, is_near_zero_between_likes_and_grows_with_what_differs) {
  torch::manual_seed(2);
  const Tensor x = torch::randn({200, 8}, torch::kDouble);
  const Tensor y = torch::randn({100, 8}, torch::kDouble);
  EXPECT_NEAR(kernel_distance(x, y), 0.0, 0.1);
  EXPECT_GT(kernel_distance(x, y + 0.5), 5 * std::abs(kernel_distance(x, y)));
  EXPECT_GT(kernel_distance(x, y + 1.0), kernel_distance(x, y + 0.5));
}

Tensor maps(data::Family family, std::uint64_t seed, std::int64_t count) {
  Tensor all = torch::empty({count, 1, 70, 70});
  for (std::int64_t i = 0; i < count; ++i) {
    data::make_velocity_map(family, seed, static_cast<std::uint64_t>(i), {all[i].data_ptr<float>(), 4900});
  }
  return (all - 3000.0) / 1500.0;
}

TEST(MapEncoder, sees_blur_noise_another_family_and_fewer_kinds_of_maps) {
  const MapEncoder encoder;
  EXPECT_EQ(encoder.digest().size(), 64U);
  constexpr std::int64_t count = 256;
  const Tensor real = encoder(maps(data::Family::curvefault_a, 11, count));
  const Tensor others = maps(data::Family::curvefault_a, 12, count);
  const auto both = [&](const Tensor& shown) {
    const Tensor features = encoder(shown);
    return std::pair(frechet_distance(real, features), kernel_distance(real, features));
  };
  const auto [frechet, kernel] = both(others);
  const auto worse = [&](const Tensor& shown, const char* what) {
    const auto [its_frechet, its_kernel] = both(shown);
    EXPECT_GT(its_frechet, 1.5 * frechet) << what;
    EXPECT_GT(its_kernel, 3 * std::abs(kernel)) << what;
  };
  worse(torch::avg_pool2d(others, {3, 3}, {1, 1}, {1, 1}), "blurred over three cells");
  worse(others + 0.05 * torch::randn_like(others), "75 m/s of noise");
  worse(maps(data::Family::flatvel_a, 12, count), "without faults");
  worse(others.slice(0, 0, 8).repeat({count / 8, 1, 1, 1}), "eight maps again and again");
}

TEST(RealMaps, of_a_known_family_are_as_many_as_a_frechet_distance_takes) {
  earth::SplitData data;
  data.geometry.depth = data.geometry.width = 16;
  EXPECT_TRUE(real_maps_beside(enough_for_frechet, data).others.empty()) << "of no family that is known";
  data.held_out_source = data::SynthSource{.family = data::Family::flatvel_a, .seed = 3, .samples = 5};
  EXPECT_TRUE(real_maps_beside(enough_for_frechet - 1, data).reference.empty());

  const RealMaps real = real_maps_beside(enough_for_frechet, data);
  ASSERT_EQ(real.others.size(), enough_for_frechet);
  ASSERT_EQ(real.reference.size(), 4000U);
  std::vector<float> sixth(data.geometry.map_size());
  data::make_velocity_map(data::Family::flatvel_a, 3, 5, sixth, data.geometry);
  EXPECT_EQ(real.others.front(), sixth) << "the folder itself holds those before it";
  std::set<std::vector<float>> each(real.others.begin(), real.others.end());
  each.insert(real.reference.begin(), real.reference.end());
  EXPECT_EQ(each.size(), 6000U) << "none stands on both sides";

  Maps drawn = real.others;
  for (auto& map : drawn) std::ranges::reverse(map);  // slow rock below fast
  const DistanceFromReal from_real(real, data.geometry);
  const auto distance = from_real.of(drawn);
  ASSERT_TRUE(distance);
  EXPECT_EQ(distance->measure, "frechet");
  EXPECT_EQ(distance->samples, enough_for_frechet);
  EXPECT_GT(distance->generated, 5 * *distance->real);
  drawn.resize(100);
  EXPECT_EQ(from_real.of(drawn)->measure, "kernel");
}

}  // namespace
}  // namespace outcrop::generator
