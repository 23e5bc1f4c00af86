#include "trainer_host/trainer/data/dataset.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::data {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DatasetFolder : public ::testing::Test {
 protected:
  // `count` maps whose values are 2000 + first + row, and gathers that hold first + row.
  void write_velocity(const std::string& name, std::size_t count, float first) {
    write(name, {count, 1, grid::depth, grid::width}, first + 2000);
  }
  void write_gathers(const std::string& name, std::size_t count, float first) {
    write(name, {count, grid::shots, grid::times, grid::width}, first);
  }
  void write(const std::string& name, const Shape& shape, float first) {
    fs::create_directories((folder_.path() / name).parent_path());
    std::vector<float> values(*element_count(shape));
    const std::size_t sample = values.size() / shape[0];
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = first + static_cast<float>(i / sample);
    }
    ASSERT_THAT(write_npy(folder_.path() / name, shape, values), IsOk());
  }
  [[nodiscard]] Result<Dataset> open() const { return Dataset::open(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(DatasetFolder, reads_samples_in_the_order_of_the_files_numbers) {
  write_velocity("model10.npy", 1, 30);
  write_gathers("data10.npy", 1, 30);
  write_velocity("model2.npy", 2, 10);
  write_gathers("data2.npy", 2, 10);
  const auto set = open();
  ASSERT_THAT(set, IsOk());
  ASSERT_EQ(set->size(), 3U);
  for (const auto& [i, value] : {std::pair{0U, 10.0F}, {1U, 11.0F}, {2U, 30.0F}}) {
    EXPECT_EQ(set->velocity(i).size(), grid::map_size);
    EXPECT_EQ(set->velocity(i)[4899], 2000 + value);
    EXPECT_EQ(set->gathers(i).size(), grid::gather_size);
    EXPECT_EQ(set->gathers(i)[349999], value);
  }
}

TEST_F(DatasetFolder, reads_fault_names_and_subfolders_and_ignores_other_files) {
  write_velocity("vel4_1_0.npy", 1, 1);
  write_gathers("seis4_1_0.npy", 1, 1);
  write_velocity("model/model1.npy", 1, 2);
  write_gathers("data/data1.npy", 1, 2);
  for (const char* name : {"other.npy", "model.npy", "model1.npy.part", "vel4_1.npy", "modelx.npy",
                           "data1_2.npy", "seis4_1_0_2.npy", "vel4__0.npy"}) {
    ASSERT_THAT(write_npy(folder_.path() / name, {1}, std::vector<float>(1)), IsOk());
  }
  const auto set = open();
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->size(), 2U);
}

TEST_F(DatasetFolder, digest_follows_contents_and_names_but_not_the_place) {
  write_velocity("model1.npy", 1, 1);
  write_gathers("data1.npy", 1, 1);
  const std::string first = open()->digest();
  EXPECT_EQ(first.size(), 64U);
  const TemporaryFolder elsewhere;
  fs::copy(folder_.path(), elsewhere.path(), fs::copy_options::recursive);
  EXPECT_EQ(Dataset::open(elsewhere.path())->digest(), first);
  write_gathers("data1.npy", 1, 2);
  EXPECT_NE(open()->digest(), first);
  fs::rename(elsewhere.path() / "model1.npy", elsewhere.path() / "model2.npy");
  fs::rename(elsewhere.path() / "data1.npy", elsewhere.path() / "data2.npy");
  EXPECT_NE(Dataset::open(elsewhere.path())->digest(), first);
}

TEST_F(DatasetFolder, refuses_a_missing_or_empty_folder) {
  EXPECT_THAT(Dataset::open(folder_.path() / "absent"),
              ErrorIs(ErrorCode::not_found, HasSubstr("no such folder")));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::not_found, HasSubstr("model1.npy and data1.npy")));
}

TEST_F(DatasetFolder, names_the_missing_partner) {
  write_velocity("model3.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("data3.npy is missing")));
  write_gathers("data3.npy", 1, 0);
  write_gathers("seis4_1_7.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("vel4_1_7.npy is missing")));
}

TEST_F(DatasetFolder, refuses_the_same_number_twice) {
  write_velocity("model1.npy", 1, 0);
  write_velocity("model/model1.npy", 1, 0);
  write_gathers("data1.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("claim the same place")));
}

TEST_F(DatasetFolder, refuses_unequal_numbers_of_maps_and_gathers) {
  write_velocity("model1.npy", 2, 0);
  write_gathers("data1.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("holds 2 maps")));
}

TEST_F(DatasetFolder, refuses_other_shapes_naming_the_right_one) {
  write("model1.npy", {1, 1, 70, 71}, 2000);
  write_gathers("data1.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data,
                              AllOf(HasSubstr("(1, 1, 70, 71)"), HasSubstr("(n, 1, 70, 70)"))));
  write_velocity("model1.npy", 1, 0);
  write("data1.npy", {1, 5, 1000, 69}, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("(n, 5, 1000, 70)")));
}

TEST_F(DatasetFolder, refuses_values_that_are_not_finite) {
  write_velocity("model1.npy", 1, 0);
  write_gathers("data1.npy", 1, std::nanf(""));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data,
                              AllOf(HasSubstr("data1.npy"), HasSubstr("all its values"))));
  write_gathers("data1.npy", 1, 0);
  write_velocity("model1.npy", 1, INFINITY);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("model1.npy")));
}

TEST_F(DatasetFolder, refuses_velocities_in_another_unit) {
  write("model1.npy", {1, 1, grid::depth, grid::width}, 2.5F);
  write_gathers("data1.npy", 1, 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("kilometres a second?")));
}

TEST_F(DatasetFolder, skips_names_that_begin_with_a_dot) {
  write_velocity("model1.npy", 1, 1);
  write_gathers("data1.npy", 1, 1);
  for (const char* name : {"._model1.npy", ".model2.npy", "model/._model3.npy"}) {
    fs::create_directories((folder_.path() / name).parent_path());
    ASSERT_THAT(write_file_durably(folder_.path() / name, "Mac OS X"), IsOk());
  }
  ASSERT_THAT(open(), IsOk());
  EXPECT_EQ(open()->size(), 1U);
}

TEST_F(DatasetFolder, refuses_a_pipe_among_its_files) {
  write_velocity("model1.npy", 1, 1);
  ASSERT_EQ(::mkfifo((folder_.path() / "data1.npy").c_str(), 0600), 0);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data,
                              AllOf(HasSubstr("data1.npy"), HasSubstr("not a regular file"))));
}

TEST_F(DatasetFolder, refuses_gathers_that_are_off_the_scale) {
  write_velocity("model1.npy", 2, 1);
  for (const auto& [scale, hint] :
       {std::pair{2e5F, "multiply by 0.0001"}, {2e-9F, "multiply by 1e+10"}, {0.0F, "zeros"}}) {
    const std::vector<float> values(2 * grid::gather_size, scale);
    ASSERT_THAT(write_npy(folder_.path() / "data1.npy", {2, grid::shots, grid::times, grid::width},
                          values),
                IsOk());
    EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data,
                                AllOf(HasSubstr("10 of 10 shot gathers (100 %)"), HasSubstr(hint))))
        << scale;
  }
}

TEST_F(DatasetFolder, says_which_share_of_its_values_is_unlikely) {
  write_velocity("model1.npy", 2, 1);
  std::vector<float> gathers(2 * grid::gather_size, 20.0F);
  std::fill_n(gathers.begin(), 2 * grid::times * grid::width, 0.0F);
  ASSERT_THAT(write_npy(folder_.path() / "data1.npy", {2, grid::shots, grid::times, grid::width},
                        gathers),
              IsOk());
  ::testing::internal::CaptureStderr();
  const auto opened = open();
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_THAT(opened, IsOk());
  EXPECT_THAT(said, HasSubstr("warning: " + folder_.path().string() +
                              ": 2 of 10 shot gathers (20 %) hold nothing but zeros"));
  EXPECT_THAT(said, HasSubstr("2 of 2 velocity maps (100 %) hold a single value"));
}

}  // namespace
}  // namespace outcrop::data
