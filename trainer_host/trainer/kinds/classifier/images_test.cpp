#include "trainer_host/trainer/kinds/classifier/images.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classifier/stripes_for_tests.hpp"

namespace outcrop::classifier {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class SplitOfImages : public testing::Test {
 protected:
  SplitOfImages() {
    EXPECT_THAT(write_stripes(train_, "train", 9, 1), IsOk());
    EXPECT_THAT(write_stripes(other_, "train", 6, 2), IsOk());
  }
  // One image of 12x12 in each class that is named.
  static void write(const fs::path& folder, const std::vector<std::uint8_t>& labels,
                    std::uint8_t first_pixel = 0, std::uint32_t side = 12) {
    std::vector<std::uint8_t> pixels(labels.size() * side * side, 0);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      pixels[i * side * side] = static_cast<std::uint8_t>(first_pixel + i);
    }
    ASSERT_THAT(data::write_idx_images(folder, "train", side, pixels, labels), IsOk());
  }
  static Result<SplitImages> open(const kinds::DataPlaces& places,
                                  const std::vector<std::string>& names = {}) {
    return open_images(places, names, std::nullopt);
  }
  [[nodiscard]] fs::path folder(const char* name) const { return folder_.path() / name; }

  TemporaryFolder folder_;
  fs::path train_ = folder_.path() / "train";
  fs::path other_ = folder_.path() / "other";
};

TEST_F(SplitOfImages, holds_out_what_a_data_set_has_to_test_with) {
  ASSERT_THAT(write_stripes(train_, "t10k", 4, 3), IsOk());
  const auto split = open({.train = {train_}});
  ASSERT_THAT(split, IsOk());
  EXPECT_EQ(split->training.size(), 9U);
  EXPECT_EQ(split->held_out.size(), 4U);
  EXPECT_EQ(split->summary.held_out_digest, split->held_out.digest());
  EXPECT_THAT(split->classes, ElementsAre("0", "1", "2"));
  // A folder of validation, too, is there to test with.
  const auto validated = open({.train = {other_}, .validation = {train_}});
  ASSERT_THAT(validated, IsOk());
  EXPECT_EQ(validated->held_out.digest(), split->held_out.digest());
}

TEST_F(SplitOfImages, holds_out_the_end_or_other_folders) {
  const auto end = open({.train = {train_, other_}, .held_out = 5});
  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->training.size(), 10U);
  EXPECT_EQ(end->held_out.size(), 5U);
  EXPECT_EQ(end->summary.held_out_digest, "");
  EXPECT_EQ(end->summary.digest, open({.train = {train_, other_}})->summary.digest);
  EXPECT_NE(end->summary.digest, open({.train = {other_, train_}})->summary.digest);
  EXPECT_EQ(open({.train = {train_}, .validation = {other_}})->held_out.size(), 6U);
  EXPECT_THAT(open({.train = {train_}, .held_out = 8}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("at least 2 must be left")));
}

TEST_F(SplitOfImages, never_holds_out_what_is_trained_on) {
  EXPECT_THAT(open({.train = {train_}, .validation = {train_}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: 9 of 9")));
  write(folder("copied"), {0, 1, 2});
  write(folder("again"), {2, 1, 0}, 2);  // its first is the other's last, whatever their labels
  EXPECT_THAT(open({.train = {folder("copied")}, .validation = {folder("again")}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: 1 of 3")));
  EXPECT_THAT(open({.train = {folder("copied"), folder("again")}, .held_out = 3}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("1 of 3 held out at its end")));
}

// Who uses a data set cannot change it.
TEST_F(SplitOfImages, leaves_out_what_a_data_set_tests_with_as_well) {
  const fs::path set = folder("set");
  write(set, {0, 1, 2, 0, 1, 2});
  const std::string digest = open({.train = {set}})->summary.digest;
  std::vector<std::uint8_t> tested(12 * 12, 0);
  tested[0] = 4;  // the fifth of them
  ASSERT_THAT(data::write_idx_images(set, "t10k", 12, tested, {1}), IsOk());
  testing::internal::CaptureStderr();
  const auto split = open({.train = {set}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("1 of 6 images to train on"));
  ASSERT_THAT(split, IsOk());
  EXPECT_THAT(split->training.labels, ElementsAre(0, 1, 2, 0, 2));
  EXPECT_EQ(split->training.image(4)[0], 5);
  EXPECT_EQ(split->summary.training, 5U);
  EXPECT_EQ(split->summary.digest, digest);
}

TEST_F(SplitOfImages, refuses_labels_out_of_range_missing_or_shifted) {
  EXPECT_THAT(open({.train = {train_}}, {"across", "down"}),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("image 2 has the label 2; there are 2 classes, 0 to 1")));
  EXPECT_THAT(open({.train = {train_}}, {"across", "down", "squares", "dots"}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("no image has the label 3 (dots)")));
  write(folder("shifted"), {1, 2, 1, 2});
  EXPECT_THAT(open({.train = {folder("shifted")}}),
              ErrorIs(ErrorCode::invalid_data,
                      AllOf(HasSubstr("no image has the label 0"), HasSubstr("subtract 1"))));
  write(folder("beyond"), {7}, 100);
  EXPECT_THAT(open({.train = {train_}, .validation = {folder("beyond")}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("held out: image 0 has the label 7")));
}

TEST_F(SplitOfImages, refuses_images_of_several_sizes) {
  write(folder("small"), {0, 1, 2}, 0, 8);
  EXPECT_THAT(open({.train = {train_, folder("small")}}),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("small: its images are 8x8"),
                                                     HasSubstr("those before 12x12"))));
  EXPECT_THAT(open({.train = {train_}, .validation = {folder("small")}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("held out are 8x8")));
  const ClassifierShape known{{1, 28, 28}, {"a", "b", "c"}};
  EXPECT_THAT(open_images({.train = {train_}}, {}, known),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("weights are for images of 28x28")));
}

TEST_F(SplitOfImages, refuses_a_folder_that_is_there_to_test_with_only) {
  ASSERT_THAT(write_stripes(folder("test"), "t10k", 4, 3), IsOk());
  EXPECT_THAT(open({.train = {folder("test")}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("none to train on")));
}

}  // namespace
}  // namespace outcrop::classifier
