#include "trainer_host/trainer/data/acoustic_solver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/data/exact_answer.hpp"

namespace outcrop::data {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t one_gather = grid::times * grid::width;

std::vector<float> shoot(AcousticSolver& solver, std::span<const float> velocity,
                         std::size_t shot) {
  EXPECT_THAT(solver.set_velocity(velocity), IsOk());
  std::vector<float> gather(one_gather);
  solver.shoot(shot, gather);
  return gather;
}

std::vector<float> homogeneous(float velocity) {
  return std::vector<float>(grid::map_size, velocity);
}

std::vector<float> trace(std::span<const float> gather, std::size_t receiver) {
  std::vector<float> samples;
  for (std::size_t i = receiver; i < gather.size(); i += grid::width) samples.push_back(gather[i]);
  return samples;
}

TEST(AcousticSolver, is_as_near_to_the_exact_answer_as_its_order_allows) {
  AcousticSolver solver(acoustic_kernels().back(), known_errors_row);
  for (const KnownError& known : known_errors) {
    // The first source is in column 0, so a receiver's column is its distance in cells.
    const auto gather = shoot(solver, homogeneous(static_cast<float>(known.velocity)), 0);
    const auto exact = exact_homogeneous_trace(known.velocity, known.distance);
    const auto computed = trace(gather, static_cast<std::size_t>(known.distance) / 10);
    const double error = relative_error_at_arrival(computed, exact, known.velocity, known.distance);
    EXPECT_LE(error, 1.2 * known.relative_error) << known.velocity << " " << known.distance;
  }
}

TEST(AcousticSolver, amplitudes_are_those_of_the_public_data_set) {
  AcousticSolver solver;
  float low = 0;
  float high = 0;
  for (std::size_t shot = 0; shot < grid::shots; ++shot) {
    const auto gather = shoot(solver, homogeneous(4350), shot);
    const auto [least, most] = std::minmax_element(gather.begin(), gather.end());
    low = std::min(low, *least);
    high = std::max(high, *most);
  }
  EXPECT_NEAR(low, -26.95, 0.01);
  EXPECT_NEAR(high, 52.785, 0.01);
}

TEST(AcousticSolver, absorbs_what_leaves_the_map) {
  // After 400 ms every wave has left the map; what comes later came back from a border. Without
  // damping that is 4.8 here, with it 0.33: less than a hundredth of the strongest arrival, 52.
  AcousticSolver solver;
  const auto gather = shoot(solver, homogeneous(4500), 2);
  float late = 0;
  for (std::size_t i = 400 * grid::width; i < gather.size(); ++i) {
    late = std::max(late, std::abs(gather[i]));
  }
  EXPECT_LT(late, 0.5F);
}

TEST(AcousticSolver, mirrored_map_gives_mirrored_gathers) {
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::curvefault_a, 5, 0, velocity);
  std::vector<float> mirrored = velocity;
  for (std::size_t row = 0; row < grid::depth; ++row) {
    const auto begin = mirrored.begin() + static_cast<std::ptrdiff_t>(row * grid::width);
    std::reverse(begin, begin + grid::width);
  }
  AcousticSolver solver;
  // Sources 0 and 4, 1 and 3 stand mirrored (17 = 69 - 52). Sums are taken in pairs of
  // neighbours, so that even the last bit is the same.
  for (const std::size_t shot : {0U, 1U}) {
    const auto direct = shoot(solver, velocity, shot);
    auto other = shoot(solver, mirrored, grid::shots - 1 - shot);
    for (std::size_t time = 0; time < grid::times; ++time) {
      const auto begin = other.begin() + static_cast<std::ptrdiff_t>(time * grid::width);
      std::reverse(begin, begin + grid::width);
    }
    EXPECT_EQ(direct, other);
  }
}

TEST(AcousticSolver, exchanging_source_and_receiver_gives_the_same_trace) {
  // Reciprocity holds for the wave equation with a source of strength v^2 at either place.
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::flatvel_a, 11, 3, velocity);
  AcousticSolver solver;
  const auto there = trace(shoot(solver, velocity, 1), 52);
  const auto back = trace(shoot(solver, velocity, 3), 17);
  const float largest = *std::max_element(there.begin(), there.end());
  for (std::size_t i = 0; i < there.size(); ++i) {
    ASSERT_NEAR(there[i], back[i], 1e-4F * largest) << i;
  }
}

TEST(AcousticSolver, every_kernel_gives_the_same_bits) {
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::curvefault_a, 1, 1, velocity);
  const auto& kernels = acoustic_kernels();
  ASSERT_FALSE(kernels.empty());
  AcousticSolver plainest(kernels.front());
  const auto expected = shoot(plainest, velocity, 2);
  for (const AcousticKernel& kernel : kernels) {
    AcousticSolver solver(kernel);
    EXPECT_EQ(shoot(solver, velocity, 2), expected) << kernel.name;
  }
}

TEST(AcousticSolver, agrees_with_the_equation_written_down_plainly) {
  // The update of the header, in double precision, over the whole padded grid.
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::curvefault_a, 9, 4, velocity);
  constexpr int side = 310;
  constexpr int wide = side + 4;
  const auto at = [](int row, int column) {
    return static_cast<std::size_t>((row + 2) * wide + column + 2);
  };
  std::vector<double> alpha(wide * wide, 0.0);
  std::vector<double> kappa(wide * wide, 0.0);
  const double slowest = *std::min_element(velocity.begin(), velocity.end());
  for (int row = 0; row < side; ++row) {
    for (int column = 0; column < side; ++column) {
      const int z = std::clamp(row - 120, 0, 69);
      const int x = std::clamp(column - 120, 0, 69);
      const double courant =
          static_cast<double>(velocity[static_cast<std::size_t>(z * 70 + x)]) * 1e-4;
      alpha[at(row, column)] = courant * courant;
      const int beside = std::max({119 - column, column - 190, 0});
      const bool outside = column < 120 || column >= 190;
      const int away = outside ? beside : std::max({119 - row, row - 190, 0});
      kappa[at(row, column)] =
          3.0 * slowest * std::log(1e7) / (2 * 1190.0) * std::pow(away * 10.0 / 1190.0, 2) * 1e-3;
    }
  }
  std::vector<double> now(wide * wide, 0.0);
  std::vector<double> other(wide * wide, 0.0);
  const auto gather = [&] {
    AcousticSolver solver;
    return shoot(solver, velocity, 1);
  }();
  double largest = 0.0;
  for (int step = 0; step < 700; ++step) {
    for (int row = 0; row < side; ++row) {
      for (int column = 0; column < side; ++column) {
        const std::size_t i = at(row, column);
        const double near = now[i - 1] + now[i + 1] + now[i - wide] + now[i + wide];
        const double far = now[i - 2] + now[i + 2] + now[i - 2 * wide] + now[i + 2 * wide];
        other[i] = (2 - 5 * alpha[i] - kappa[i]) * now[i] - (1 - kappa[i]) * other[i] +
                   alpha[i] * (4.0 / 3.0 * near - 1.0 / 12.0 * far);
      }
    }
    const double path = static_cast<double>(velocity[70 + 17]) * 1e-3;
    other[at(121, 137)] += path * path * ricker(step * 1e-3);
    std::swap(now, other);
    for (int receiver = 0; receiver < 70; ++receiver) {
      const double expected = now[at(121, 120 + receiver)];
      largest = std::max(largest, std::abs(expected));
      ASSERT_NEAR(gather[static_cast<std::size_t>(step * 70 + receiver)], expected, 1e-3)
          << step << " " << receiver;
    }
  }
  EXPECT_GT(largest, 1.0);
}

TEST(AcousticSolver, divides_the_step_where_it_would_be_unstable) {
  AcousticSolver solver;
  ASSERT_THAT(solver.set_velocity(homogeneous(5800)), IsOk());
  EXPECT_EQ(solver.substeps(), 1U);
  const auto fast = shoot(solver, homogeneous(6000), 0);
  EXPECT_EQ(solver.substeps(), 2U);
  const auto exact = exact_homogeneous_trace(6000, 300);
  EXPECT_LT(relative_error_at_arrival(trace(fast, 30), exact, 6000, 300), 0.01);
  for (const float value : fast) ASSERT_LT(std::abs(value), 200.0F);
}

TEST(AcousticSolver, stays_stable_just_below_the_limit) {
  AcousticSolver solver;
  std::vector<float> velocity = homogeneous(5800);
  std::fill_n(velocity.begin(), 35 * grid::width, 1500.0F);
  const auto gather = shoot(solver, velocity, 0);
  for (std::size_t i = 900 * grid::width; i < gather.size(); ++i) {
    ASSERT_LT(std::abs(gather[i]), 1.0F);
  }
}

TEST(AcousticSolver, refuses_what_is_no_velocity_map) {
  AcousticSolver solver;
  for (const float bad : {0.0F, 99.0F, 6001.0F, std::nanf(""), INFINITY, -2000.0F}) {
    std::vector<float> velocity = homogeneous(2000);
    velocity[77] = bad;
    EXPECT_THAT(solver.set_velocity(velocity),
                ErrorIs(ErrorCode::invalid_argument, HasSubstr("100 to 6000")));
  }
  EXPECT_THAT(solver.set_velocity(std::vector<float>(10)),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("4900")));
}

TEST(AcousticSolver, leaves_the_threads_treatment_of_denormals_as_it_was) {
  AcousticSolver solver;
  (void)shoot(solver, homogeneous(2000), 0);
  volatile float smallest = std::numeric_limits<float>::min();
  EXPECT_GT(smallest / 2.0F, 0.0F);
}

TEST(Ricker, is_the_wavelet_of_147_samples_with_its_peak_at_index_73) {
  EXPECT_DOUBLE_EQ(ricker(0.073), 1.0);
  EXPECT_EQ(ricker(-0.001), 0.0);
  EXPECT_EQ(ricker(0.147), 0.0);
  for (int i = 0; i < 147; ++i) {
    const double square = std::pow(3.14159265358979 * 15.0 * (i - 73) * 1e-3, 2);
    EXPECT_NEAR(ricker(i * 1e-3), (1 - 2 * square) * std::exp(-square), 1e-12) << i;
  }
}

TEST(AcousticSolver, records_other_geometries_as_the_same_experiment) {
  // A map of OpenFWI's, twice as wide a step, fewer shots: every second step of the same gathers.
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::curvefault_a, 3, 0, velocity);
  AcousticSolver usual;
  Geometry sparse;
  sparse.time_step = 0.002;
  sparse.times = 400;
  sparse.shots = 2;
  sparse.source_columns = {17, 69};
  AcousticSolver other(sparse);
  ASSERT_THAT(usual.set_velocity(velocity), IsOk());
  ASSERT_THAT(other.set_velocity(velocity), IsOk());
  EXPECT_EQ(other.substeps(), 2U);
  std::vector<float> dense(one_gather), thinned(sparse.shot_size());
  usual.shoot(1, dense);
  other.shoot(0, thinned);
  for (std::size_t time = 0; time < sparse.times; ++time) {
    ASSERT_TRUE(std::equal(thinned.begin() + static_cast<std::ptrdiff_t>(time * 70),
                           thinned.begin() + static_cast<std::ptrdiff_t>((time + 1) * 70),
                           dense.begin() + static_cast<std::ptrdiff_t>((2 * time + 1) * 70)))
        << time;
  }
}

TEST(AcousticSolver, is_as_exact_on_maps_of_other_sizes) {
  Geometry wide;
  wide.depth = 64;
  wide.width = 97;
  wide.shots = 1;
  wide.source_columns = {10};
  wide.times = 500;
  wide.time_step = 0.002;
  for (const AcousticKernel& kernel : acoustic_kernels()) {
    AcousticSolver solver(kernel, known_errors_row, wide);
    ASSERT_THAT(solver.set_velocity(std::vector<float>(wide.map_size(), 2500.0F)), IsOk());
    std::vector<float> gather(wide.shot_size());
    solver.shoot(0, gather);
    const auto exact = exact_homogeneous_trace(2500, 600);
    std::vector<float> trace;
    std::vector<double> expected;
    for (std::size_t i = 0; i < wide.times; ++i) {
      trace.push_back(gather[i * wide.width + 70]);
      expected.push_back(exact[2 * i + 1]);
    }
    double difference = 0.0, norm = 0.0;
    for (std::size_t i = 0; i < wide.times; ++i) {
      difference += std::pow(static_cast<double>(trace[i]) - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    EXPECT_LT(std::sqrt(difference / norm), 0.02) << kernel.name;
  }
}

TEST(AcousticSolver, keeps_gathers_on_their_scale_whatever_the_cells) {
  Geometry coarse;
  coarse.spacing = 20.0;
  coarse.peak_frequency = 7.5;
  coarse.time_step = 0.002;
  AcousticSolver fine, other(coarse);
  const std::vector<float> map(grid::map_size, 2500.0F);
  ASSERT_THAT(fine.set_velocity(map), IsOk());
  ASSERT_THAT(other.set_velocity(map), IsOk());
  std::vector<float> first(one_gather), second(one_gather);
  fine.shoot(2, first);
  other.shoot(2, second);
  // Twice as long and as wide, it is the same experiment but for the time that the source takes.
  const float peak = *std::max_element(first.begin(), first.end());
  const float scaled = *std::max_element(second.begin(), second.end());
  EXPECT_NEAR(scaled / peak, 1.0F, 0.1F);
}

}  // namespace
}  // namespace outcrop::data
