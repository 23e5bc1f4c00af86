#include "trainer_host/trainer/data/crop_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {
namespace {

using ::testing::HasSubstr;

class CropModel : public ::testing::Test {
 protected:
  // 2000 m/s and more: 10 m/s a row, 1 m/s a column.
  void write(std::size_t rows, std::size_t columns, float top = 2000.0F) {
    std::vector<float> values(rows * columns);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = top + 10.0F * static_cast<float>(i / columns) + static_cast<float>(i % columns);
    }
    ASSERT_THAT(write_npy(path_, {rows, columns}, values), IsOk());
  }
  [[nodiscard]] Result<CropSource> open(double spacing, bool flip_z = false) const {
    return CropSource::open(path_, {spacing, flip_z});
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "model.npy";
};

TEST_F(CropModel, resamples_linearly_to_ten_metres) {
  write(50, 60);
  const auto source = open(20);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->rows(), 99U);      // 49 * 20 m
  EXPECT_EQ(source->columns(), 119U);  // 59 * 20 m
  EXPECT_EQ(source->velocity_at(0, 0), 2000.0F);
  EXPECT_EQ(source->velocity_at(1, 0), 2005.0F);
  EXPECT_EQ(source->velocity_at(2, 3), 2011.5F);
  EXPECT_EQ(source->velocity_at(98, 118), 2000.0F + 490 + 59);
}

TEST_F(CropModel, finer_models_are_resampled_too) {
  write(300, 400);
  const auto source = open(2.5);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->rows(), 75U);
  EXPECT_EQ(source->velocity_at(1, 1), 2000.0F + 40 + 4);
}

TEST_F(CropModel, flip_puts_the_last_row_at_the_surface) {
  write(80, 90);
  const auto source = open(10, true);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->velocity_at(0, 5), 2000.0F + 790 + 5);
  EXPECT_EQ(source->velocity_at(79, 5), 2005.0F);
}

TEST_F(CropModel, crops_are_pieces_of_the_model_drawn_by_seed_and_sample) {
  write(80, 90);
  const auto source = open(10);
  ASSERT_THAT(source, IsOk());
  std::vector<float> crop(grid::map_size);
  std::vector<float> other(grid::map_size);
  EXPECT_EQ(source->crop(1, 0, crop), 0U);
  EXPECT_EQ(crop[69 * 70 + 69] - crop[0], 690.0F + 69.0F);
  source->crop(1, 0, other);
  EXPECT_EQ(crop, other);
  std::size_t different = 0;
  for (std::uint64_t sample = 1; sample < 20; ++sample) {
    source->crop(1, sample, other);
    different += crop == other ? 0U : 1U;
  }
  EXPECT_GT(different, 15U);
}

TEST_F(CropModel, clamps_to_the_range_and_counts_what_it_clamped) {
  write(70, 70, 1400.0F);
  const auto source = open(10);
  ASSERT_THAT(source, IsOk());
  std::vector<float> crop(grid::map_size);
  // Rows 0...9 hold 1400 + 10 row + column: 100 - 10 row cells of each lie below 1500.
  std::size_t below = 0;
  for (std::size_t row = 0; row < 10; ++row) below += std::min<std::size_t>(70, 100 - 10 * row);
  EXPECT_EQ(source->crop(5, 0, crop), below);
  EXPECT_EQ(*std::min_element(crop.begin(), crop.end()), grid::slowest);
  EXPECT_EQ(crop[69 * 70 + 69], 1400.0F + 690 + 69);
}

TEST_F(CropModel, refuses_models_that_are_too_small) {
  write(69, 200);
  EXPECT_THAT(open(10), ErrorIs(ErrorCode::invalid_data, HasSubstr("too few")));
  ASSERT_THAT(write_npy(path_, {0, 200}, {}), IsOk());
  EXPECT_THAT(open(10), ErrorIs(ErrorCode::invalid_data, HasSubstr("too few")));
}

TEST_F(CropModel, refuses_models_with_another_number_of_axes) {
  ASSERT_THAT(write_npy(path_, {1, 80, 80}, std::vector<float>(6400, 2000.0F)), IsOk());
  EXPECT_THAT(open(10), ErrorIs(ErrorCode::invalid_data, HasSubstr("two axes")));
}

TEST_F(CropModel, refuses_values_that_are_no_velocities) {
  ASSERT_THAT(write_npy(path_, {80, 80}, std::vector<float>(6400, 2.5F)), IsOk());
  EXPECT_THAT(open(10), ErrorIs(ErrorCode::invalid_data, HasSubstr("kilometres a second?")));
  ASSERT_THAT(write_npy(path_, {80, 80}, std::vector<float>(6400, std::nanf(""))), IsOk());
  EXPECT_THAT(open(10), ErrorIs(ErrorCode::invalid_data, HasSubstr("all its values")));
}

TEST_F(CropModel, refuses_a_spacing_that_makes_no_sense) {
  write(80, 80);
  for (const double spacing : {0.0, -20.0, 0.01, 5000.0, std::nan("")}) {
    EXPECT_THAT(open(spacing), ErrorIs(ErrorCode::invalid_argument, HasSubstr("0.1 to 1000")));
  }
}

TEST(CropOfMarmousi, has_water_on_top_and_little_to_clamp) {
  const char* folder = std::getenv("OUTCROP_TEST_DATA");
  const std::filesystem::path data = folder != nullptr ? folder : OUTCROP_SOURCE "/../shared/data";
  const auto path = data / "marmousi" / "marmousi.npy";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is missing: set OUTCROP_TEST_DATA to a folder that has "
                 << "marmousi/marmousi.npy (modified Marmousi, 20 m cells, row 0 at the bottom)";
  }
  const auto source = CropSource::open(path, {20.0, true});
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->rows(), 347U);
  EXPECT_EQ(source->columns(), 999U);
  EXPECT_NEAR(source->velocity_at(0, 500), 1500.0F, 20.0F);
  std::vector<float> crop(grid::map_size);
  std::size_t clamped = 0;
  for (std::uint64_t sample = 0; sample < 50; ++sample) clamped += source->crop(1, sample, crop);
  EXPECT_LT(static_cast<double>(clamped) / (50.0 * grid::map_size), 0.1);
}

}  // namespace
}  // namespace outcrop::data
