#include "trainer_host/trainer/data/earth_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "protocol/trust/digest.hpp"
#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::data {
namespace {

using ::testing::HasSubstr;

std::vector<float> make(Family family, std::uint64_t seed, std::uint64_t sample) {
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(family, seed, sample, velocity);
  return velocity;
}

TEST(EarthModel, maps_have_two_to_four_velocities_within_the_range) {
  for (const Family family : {Family::flatvel_a, Family::curvefault_a}) {
    std::set<std::size_t> counts;
    for (std::uint64_t sample = 0; sample < 200; ++sample) {
      const auto map = make(family, 3, sample);
      const std::set<float> velocities(map.begin(), map.end());
      counts.insert(velocities.size());
      EXPECT_GE(*velocities.begin(), grid::slowest);
      EXPECT_LE(*velocities.rbegin(), grid::fastest);
    }
    EXPECT_LE(*counts.rbegin(), 4U);
    EXPECT_TRUE(counts.contains(2) && counts.contains(3) && counts.contains(4));
  }
}

TEST(EarthModel, velocity_grows_with_depth_in_flat_layers_of_eight_cells_or_more) {
  for (std::uint64_t sample = 0; sample < 100; ++sample) {
    const auto map = make(Family::flatvel_a, 8, sample);
    std::size_t thickness = 0;
    for (std::size_t row = 0; row < grid::depth; ++row) {
      const float* first = map.data() + row * grid::width;
      ASSERT_TRUE(std::all_of(first, first + grid::width, [&](float v) { return v == *first; }));
      ++thickness;
      if (row + 1 == grid::depth || first[grid::width] != *first) {
        EXPECT_GE(thickness, 7U) << sample;  // 8 cells less the rounding to a row
        thickness = 0;
      }
      if (row > 0) {
        ASSERT_GE(*first, *(first - grid::width));
      }
    }
  }
}

TEST(EarthModel, faulted_maps_change_along_a_row) {
  std::size_t bent = 0;
  for (std::uint64_t sample = 0; sample < 50; ++sample) {
    const auto map = make(Family::curvefault_a, 8, sample);
    for (std::size_t row = 0; row < grid::depth; ++row) {
      const float* first = map.data() + row * grid::width;
      if (std::any_of(first, first + grid::width, [&](float v) { return v != *first; })) {
        ++bent;
        break;
      }
    }
  }
  EXPECT_EQ(bent, 50U);
}

TEST(EarthModel, seed_and_sample_decide_alone_and_both_matter) {
  const auto one = make(Family::curvefault_a, 1, 7);
  EXPECT_EQ(one, make(Family::curvefault_a, 1, 7));
  EXPECT_NE(one, make(Family::curvefault_a, 2, 7));
  EXPECT_NE(one, make(Family::curvefault_a, 1, 8));
}

TEST(EarthModel, maps_have_the_bits_they_had_when_this_was_written) {
  // A change here changes every data set made from a seed: it needs a new family name.
  trust::Sha256Hasher hasher;
  for (const Family family : {Family::flatvel_a, Family::curvefault_a}) {
    for (std::uint64_t sample = 0; sample < 64; ++sample) {
      hasher.update(std::as_bytes(std::span<const float>(make(family, 1, sample))));
    }
  }
  EXPECT_EQ(hasher.finish().hex(),
            "a833c6cdeb6935eed7a6c02c7dc8cbcd498f7a1fd5f79d9e0ea513b543553162");
}

TEST(EarthModel, unknown_family_is_refused_with_those_there_are) {
  EXPECT_THAT(parse_family("salt"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("curvefault-a and flatvel-a")));
  EXPECT_EQ(*parse_family("flatvel-a"), Family::flatvel_a);
}

TEST(SineOfTurns, agrees_with_the_library) {
  for (int i = -3000; i <= 3000; ++i) {
    const double turns = i / 777.0;
    EXPECT_NEAR(sine_of_turns(turns), std::sin(2 * 3.14159265358979323846 * turns), 1e-12);
  }
}

TEST(CounterRandom, philox_passes_the_published_vectors) {
  // Known answers of Random123 (D. E. Shaw Research), philox4x32, 10 rounds.
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRandom, covers_its_ranges) {
  CounterRandom random(1, 2);
  double sum = 0;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 4000; ++i) {
    const double value = random.uniform(-1.0, 3.0);
    ASSERT_GE(value, -1.0);
    ASSERT_LT(value, 3.0);
    sum += value;
    const std::uint64_t whole = random.below(3);
    ASSERT_LT(whole, 3U);
    seen.insert(whole);
  }
  EXPECT_NEAR(sum / 4000, 1.0, 0.06);
  EXPECT_EQ(seen.size(), 3U);
}

TEST(EarthModel, labels_name_layers_from_the_top_and_the_zone_around_a_fault) {
  std::vector<std::int64_t> labels(grid::map_size);
  for (const Family family : {Family::flatvel_a, Family::curvefault_a}) {
    for (std::uint64_t sample = 0; sample < 50; ++sample) {
      const auto map = make(family, 3, sample);
      make_labels(family, 3, sample, labels);
      std::map<std::int64_t, std::set<float>> velocities;  // of each layer
      std::size_t in_zone = 0;
      for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] == cell::fault_zone) {
          ++in_zone;
        } else {
          velocities[labels[i]].insert(map[i]);
        }
      }
      float above = 0.0F;
      for (const auto& [layer, found] : velocities) {
        EXPECT_EQ(found.size(), 1U) << layer;
        EXPECT_GT(*found.begin(), above) << layer;  // velocities grow with depth
        above = *found.begin();
      }
      EXPECT_EQ(in_zone > 0, family == Family::curvefault_a);
      EXPECT_LT(in_zone, labels.size() / 8);
    }
  }
}

}  // namespace
}  // namespace outcrop::data
