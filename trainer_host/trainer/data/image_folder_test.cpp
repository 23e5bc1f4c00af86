#include "trainer_host/trainer/data/image_folder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/idx_for_tests.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::uint8_t> counted(std::size_t count) {
  std::vector<std::uint8_t> values(count);
  std::iota(values.begin(), values.end(), std::uint8_t{0});
  return values;
}

class ImageFiles : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    ASSERT_THAT(write_file_durably(folder() / name, text), IsOk());
  }
  // Two images of 2x3 and their labels, and `more` behind.
  void write_pair(const std::string& more = "") {
    write("train-images-idx3-ubyte", idx_text({2, 2, 3}, counted(12)) + more);
    write("train-labels-idx1-ubyte", idx_text({2}, {4, 7}));
  }
  [[nodiscard]] Result<LabelledImages> training() const {
    OUTCROP_TRY(opened, ImageFolder::open(folder()));
    return opened.read_training();
  }
  void refused(const std::string& images, const std::string& message) {
    write("train-labels-idx1-ubyte", idx_text({2}, {4, 7}));
    write("train-images-idx3-ubyte", images);
    EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data,
                                    AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr(message))));
  }
  [[nodiscard]] const fs::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(ImageFiles, of_idx_are_read_in_their_order) {
  write_pair();
  const auto opened = ImageFolder::open(folder());
  ASSERT_THAT(opened, IsOk());
  EXPECT_TRUE(opened->has_training());
  EXPECT_FALSE(opened->has_test());
  const auto images = opened->read_training();
  ASSERT_THAT(images, IsOk());
  EXPECT_EQ(images->shape, (ImageShape{1, 2, 3}));
  EXPECT_THAT(images->labels, ElementsAre(4, 7));
  const auto second = images->image(1);
  EXPECT_THAT(std::vector(second.begin(), second.end()), ElementsAre(6, 7, 8, 9, 10, 11));
}

TEST_F(ImageFiles, may_be_packed_and_have_a_part_to_test_with) {
  ASSERT_THAT(write_gzip(folder() / "t10k-images-idx3-ubyte.gz", idx_text({1, 2, 2}, counted(4))),
              IsOk());
  ASSERT_THAT(write_gzip(folder() / "t10k-labels-idx1-ubyte.gz", idx_text({1}, {9})), IsOk());
  const auto opened = ImageFolder::open(folder());
  ASSERT_THAT(opened, IsOk());
  EXPECT_FALSE(opened->has_training());
  const auto images = opened->read_test();
  ASSERT_THAT(images, IsOk());
  EXPECT_THAT(images->pixels, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(images->labels, ElementsAre(9));
}

TEST_F(ImageFiles, that_are_cut_short_or_too_long_are_refused) {
  const std::string whole = idx_text({2, 2, 3}, counted(12));
  refused("", "cut short: 0 bytes");
  refused(whole.substr(0, 9), "the header alone takes 16");
  refused(whole.substr(0, 27), "cut short: 11 values where its header says 2 x 2 x 3 = 12");
  refused(whole + "x", "too long: 13 values where its header says 2 x 2 x 3 = 12");
  refused(idx_text({2, 0, 3}, {}), "extent 2 of 3 is 0");
  refused(idx_text({4000000000, 4000000000, 4000000000}, {1}), "is too large");
}

TEST_F(ImageFiles, of_another_format_are_refused_by_what_they_begin_with) {
  refused("\x89PNG\r\n\x1a\n and so on", "no IDX file: it begins with 89504e47");
  std::string floats = idx_text({2, 2, 3}, counted(12));
  floats[2] = 0x0d;
  refused(floats, "its values are float32; unsigned bytes are read");
  floats[2] = 0x55;
  refused(floats, "no IDX file: it begins with 00005503");
  refused(idx_text({16}, counted(16)), "it has 1 dimension; images have 3");
}

TEST_F(ImageFiles, packed_ones_that_are_damaged_are_refused) {
  write("train-labels-idx1-ubyte", idx_text({2}, {4, 7}));
  const fs::path packed = folder() / "train-images-idx3-ubyte.gz";
  std::vector<std::uint8_t> noise(200);
  for (std::size_t i = 0; i < noise.size(); ++i) {
    noise[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13);
  }
  ASSERT_THAT(write_gzip(packed, idx_text({2, 10, 10}, noise)), IsOk());
  ASSERT_THAT(training(), IsOk());
  const std::string whole = *read_text_file(packed);
  write(packed.filename(), whole.substr(0, whole.size() / 2));
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data,
                                  AllOf(HasSubstr(".gz"), HasSubstr("cut short"))));
  std::string damaged = whole;
  damaged[whole.size() - 6] = static_cast<char>(damaged[whole.size() - 6] ^ 1);  // of its checksum
  write(packed.filename(), damaged);
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data, HasSubstr("is damaged")));
}

TEST_F(ImageFiles, without_as_many_labels_are_refused) {
  write_pair();
  write("train-labels-idx1-ubyte", idx_text({3}, {1, 2, 3}));
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data,
                                  AllOf(HasSubstr("holds 2 images"), HasSubstr("labels for 3"))));
  fs::remove(folder() / "train-labels-idx1-ubyte");
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data,
                                  HasSubstr("train-labels-idx1-ubyte (or the same with .gz) is missing")));
}

TEST_F(ImageFiles, of_one_data_set_stand_in_a_folder) {
  EXPECT_THAT(ImageFolder::open(folder()), ErrorIs(ErrorCode::not_found, HasSubstr("data_batch_1.bin")));
  EXPECT_THAT(ImageFolder::open(folder() / "none"),
              ErrorIs(ErrorCode::not_found, HasSubstr("no such folder")));
  write_pair();
  write("test.bin", "x");
  EXPECT_THAT(ImageFolder::open(folder()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("more than one data set")));
}

// An image of one colour, with the bytes of its labels before it.
std::string cifar_record(std::initializer_list<int> labels, char colour) {
  std::string text;
  for (const int label : labels) text += static_cast<char>(label);
  return text + std::string(3072, colour);
}

TEST_F(ImageFiles, of_cifar_10_are_joined_and_named) {
  write("data_batch_1.bin", cifar_record({3}, 1) + cifar_record({9}, 2));
  write("data_batch_2.bin", cifar_record({0}, 3));
  write("test_batch.bin", cifar_record({1}, 4));
  const auto images = training();
  ASSERT_THAT(images, IsOk());
  EXPECT_EQ(images->shape, (ImageShape{3, 32, 32}));
  EXPECT_THAT(images->labels, ElementsAre(3, 9, 0));
  const auto third = images->image(2);
  EXPECT_THAT(std::vector(third.begin(), third.end()), Each(3));
  EXPECT_TRUE(images->names.empty());
  write("batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  EXPECT_EQ(training()->names.at(9), "truck");
  write("batches.meta.txt", "airplane\n");
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data, HasSubstr("names 1 classes; CIFAR-10 has 10")));
}

TEST_F(ImageFiles, of_cifar_100_have_their_fine_labels) {
  write("train.bin", cifar_record({19, 99}, 1) + cifar_record({0, 4}, 2));
  const auto images = training();
  ASSERT_THAT(images, IsOk());
  EXPECT_THAT(images->labels, ElementsAre(99, 4));
  EXPECT_EQ(images->image(1)[0], 2);
}

TEST_F(ImageFiles, of_cifar_that_are_cut_short_or_have_other_labels_are_refused) {
  write("data_batch_1.bin", cifar_record({3}, 1) + "xyz");
  EXPECT_THAT(training(),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("data_batch_1.bin: cut short"),
                                                     HasSubstr("each image takes 3073 and 3 are left"))));
  write("data_batch_1.bin", cifar_record({3}, 1) + cifar_record({10}, 1));
  EXPECT_THAT(training(), ErrorIs(ErrorCode::invalid_data,
                                  HasSubstr("image 1 has the label 10; CIFAR-10 has 0 to 9")));
}

TEST(SomeImages, are_told_apart_by_their_digest_and_found_again) {
  LabelledImages some{{1, 1, 2}, {1, 2, 3, 4, 5, 6}, {0, 1, 0}, {}};
  const LabelledImages others{{1, 1, 2}, {5, 6, 1, 3}, {1, 1}, {}};
  EXPECT_THAT(found_in(some, others), ElementsAre(false, false, true));
  const std::string before = some.digest();
  const LabelledImages end = some.split_at(1);
  EXPECT_THAT(end.pixels, ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(some.labels, ElementsAre(0));
  EXPECT_NE(some.digest(), before);
  ASSERT_THAT(some.append(end), IsOk());
  EXPECT_EQ(some.digest(), before);
  LabelledImages relabelled = some;
  relabelled.labels[2] = 1;
  EXPECT_NE(relabelled.digest(), before);
  EXPECT_THAT(some.append({{1, 2, 1}, {1, 2}, {0}, {}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("all must have one size")));
}

TEST(FashionMnist, of_debian_is_read_whole) {
  const fs::path folder = "/usr/share/datasets/fashion-mnist";
  if (!fs::exists(folder)) GTEST_SKIP() << "Debian's dataset-fashion-mnist is not installed";
  const auto opened = ImageFolder::open(folder);
  ASSERT_THAT(opened, IsOk());
  const auto images = opened->read_test();
  ASSERT_THAT(images, IsOk());
  EXPECT_EQ(images->shape, (ImageShape{1, 28, 28}));
  EXPECT_EQ(images->size(), 10'000U);
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(std::count(images->labels.begin(), images->labels.end(), label), 1000);
  }
  EXPECT_EQ(images->labels[0], 9);  // an ankle boot
}

}  // namespace
}  // namespace outcrop::data
