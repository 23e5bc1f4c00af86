#include "trainer_host/trainer/kinds/generator/scores/reflections.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace outcrop::generator {
namespace {

using namespace data::grid;

std::vector<float> map_of(float velocity) {
  return std::vector<float>(map_size, velocity);
}

std::size_t at(std::size_t shot, std::size_t time, std::size_t receiver) {
  return (shot * times + time) * width + receiver;
}

// A wave that fades: something everywhere.
std::vector<float> wave(float phase, float fading) {
  std::vector<float> gathers(gather_size);
  for (std::size_t i = 0; i < gather_size; ++i) {
    const auto time = static_cast<float>(i / width % times);
    gathers[i] = 20.0F * std::exp(-time / fading) *
                 std::sin(0.05F * time + 0.1F * static_cast<float>(i % width) +
                          static_cast<float>(i / (times * width)) + phase);
  }
  return gathers;
}

TEST(Reflections, agree_with_an_independent_reference) {
  std::vector<float> map;
  for (std::size_t i = 0; i < map_size; ++i) {
    map.push_back(1600.0F + 10.0F * static_cast<float>(i % width) +
                  20.0F * static_cast<float>(i / width));
  }
  const GatherError error = gather_error(map, wave(0, 150), wave(0.3F, 160));
  EXPECT_NEAR(error.whole, 0.3502463, 1e-5);
  ASSERT_TRUE(error.reflections.has_value());
  EXPECT_NEAR(*error.reflections, 0.3444614, 1e-5);
  const MuteStart start = mute_start(map);
  EXPECT_NEAR(start[2][0], 322.519F, 1e-2F);
  EXPECT_NEAR(start[0][69], 486.823F, 1e-2F);
}

TEST(Reflections, are_relative_in_pressure_as_well) {
  const auto truth = wave(0, 150);
  auto half = truth;
  for (float& pressure : half) pressure *= 0.5F;
  const GatherError error = gather_error(map_of(2000), truth, half, {}, PressureScale::physical);
  EXPECT_NEAR(error.whole, 0.5, 1e-6);
  EXPECT_NEAR(*error.reflections, 0.5, 1e-6);
  EXPECT_NE(gather_error(map_of(2000), truth, half).whole, error.whole);
}

TEST(Reflections, are_what_comes_after_the_direct_wave) {
  // 340 m at 2000 m/s take 170 ms, and the wavelet 133 more: sample 302 is the last mute one.
  const auto map = map_of(2000);
  const auto truth = wave(0, 150);
  auto early = truth;
  early[at(2, 301, 0)] += 10.0F;
  EXPECT_GT(gather_error(map, truth, early).whole, 0.0);
  EXPECT_EQ(*gather_error(map, truth, early).reflections, 0.0);
  auto late = truth;
  late[at(2, 330, 0)] += 10.0F;
  EXPECT_GT(*gather_error(map, truth, late).reflections, gather_error(map, truth, late).whole);
}

TEST(Reflections, silence_is_wrong_by_all_there_is) {
  const std::vector<float> silence(gather_size, 0.0F);
  const GatherError error = gather_error(map_of(3000), wave(0, 150), silence);
  EXPECT_DOUBLE_EQ(error.whole, 1.0);
  EXPECT_DOUBLE_EQ(*error.reflections, 1.0);
}

TEST(Reflections, there_are_none_where_nothing_follows_the_direct_wave) {
  const auto map = map_of(2000);
  std::vector<float> direct(gather_size, 0.0F);
  direct[at(2, 100, 34)] = 10.0F;
  const GatherError error = gather_error(map, direct, wave(0, 150));
  EXPECT_FALSE(error.reflections.has_value());
  MeanGatherError mean;
  mean.add(error);
  EXPECT_FALSE(mean.mean().reflections.has_value());
  mean.add({.whole = 0.5, .reflections = 0.25});
  EXPECT_DOUBLE_EQ(*mean.mean().reflections, 0.25);
}

TEST(Reflections, a_nan_is_never_hidden) {
  auto broken = wave(0, 150);
  broken[at(2, 0, 34)] = std::numeric_limits<float>::quiet_NaN();
  const GatherError error = gather_error(map_of(2000), wave(0, 150), broken);
  EXPECT_TRUE(std::isnan(error.whole));
  EXPECT_TRUE(std::isnan(*error.reflections));
}

}  // namespace
}  // namespace outcrop::generator
