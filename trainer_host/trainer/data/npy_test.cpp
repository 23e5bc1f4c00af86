#include "trainer_host/trainer/data/npy.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class NpyFile : public ::testing::Test {
 protected:
  // A file with the header text that NumPy would write around `dictionary`.
  void write(const std::string& dictionary, std::size_t data_bytes, unsigned char version = 1) {
    std::string text = dictionary;
    const std::size_t front = version == 1 ? 10 : 12;
    while ((front + text.size() + 1) % 64 != 0) text += ' ';
    text += '\n';
    std::string file("\x93NUMPY", 6);
    file += static_cast<char>(version);
    file += '\0';
    file += static_cast<char>(text.size() & 0xff);
    file += static_cast<char>(text.size() >> 8);
    if (version > 1) file.append(2, '\0');
    file += text + std::string(data_bytes, '\0');
    write_raw(file);
  }
  void write_raw(std::string_view bytes) { ASSERT_THAT(write_file_durably(path_, bytes), IsOk()); }
  [[nodiscard]] std::string read_raw() const { return *read_text_file(path_); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "array.npy";
};

TEST_F(NpyFile, returns_the_values_that_were_written) {
  std::vector<float> values(2 * 3 * 4);
  std::iota(values.begin(), values.end(), -5.5F);
  ASSERT_THAT(write_npy(path_, {2, 3, 4}, values), IsOk());
  auto array = NpyArray::open(path_);
  ASSERT_THAT(array, IsOk());
  EXPECT_EQ(array->shape(), (Shape{2, 3, 4}));
  const NpyArray moved = std::move(*array);
  EXPECT_TRUE(
      std::equal(values.begin(), values.end(), moved.values().begin(), moved.values().end()));
  EXPECT_THAT(moved.check_finite(), IsOk());
}

TEST_F(NpyFile, header_is_the_one_numpy_writes) {
  ASSERT_THAT(write_npy(path_, {7}, std::vector<float>(7)), IsOk());
  const std::string file = read_raw();
  EXPECT_EQ(file.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_THAT(file.substr(10),
              ::testing::StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }"));
  EXPECT_EQ(file.size(), 128U + 7 * 4);
  EXPECT_EQ(file[127], '\n');
}

TEST_F(NpyFile, reads_version_2_and_keys_in_another_order) {
  write("{\"shape\": (2, 2), 'fortran_order': False, 'descr': '<f4'}", 16, 2);
  const auto array = NpyArray::open(path_);
  ASSERT_THAT(array, IsOk());
  EXPECT_EQ(array->shape(), (Shape{2, 2}));
}

TEST_F(NpyFile, refuses_a_missing_file) {
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::not_found, HasSubstr("array.npy")));
}

TEST_F(NpyFile, refuses_a_file_cut_short_at_every_place) {
  ASSERT_THAT(write_npy(path_, {4, 5}, std::vector<float>(20, 1.0F)), IsOk());
  const std::string whole = read_raw();
  for (const std::size_t length : {0, 3, 9, 11, 60, 127, 128, 150, 207}) {
    write_raw(whole.substr(0, length));
    EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("cut short")))
        << length;
  }
}

TEST_F(NpyFile, refuses_a_file_longer_than_its_shape) {
  ASSERT_THAT(write_npy(path_, {2}, std::vector<float>(2)), IsOk());
  write_raw(read_raw() + "junk");
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("too long")));
}

TEST_F(NpyFile, refuses_other_files_and_versions) {
  write_raw("PK\x03\x04 a zip file, which is what numpy.savez writes");
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("not a .npy")));
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4, 9);
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("version 9")));
}

TEST_F(NpyFile, refuses_other_value_types_naming_the_conversion) {
  for (const auto& [type, words] :
       {std::pair{"<f8", "float64"}, {">f4", "big endian"}, {"<i4", "'<i4'"}, {"|O", "'|O'"}}) {
    write(std::string("{'descr': '") + type + "', 'fortran_order': False, 'shape': (2,), }", 8);
    EXPECT_THAT(NpyArray::open(path_),
                ErrorIs(ErrorCode::invalid_data,
                        AllOf(HasSubstr(words), HasSubstr("array.astype('<f4')"))));
  }
  write("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8);
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("records")));
}

TEST_F(NpyFile, refuses_fortran_order) {
  write("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", 16);
  EXPECT_THAT(NpyArray::open(path_),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("ascontiguousarray")));
}

TEST_F(NpyFile, refuses_headers_that_are_no_dictionary_of_three_keys) {
  for (const char* dictionary :
       {"", "nonsense", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} {}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}"}) {
    write(dictionary, 4);
    EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("array.npy")))
        << dictionary;
  }
}

TEST_F(NpyFile, check_finite_tells_where_and_how_many) {
  std::vector<float> values(2 * 5000, 1.0F);
  values[5003] = std::numeric_limits<float>::infinity();
  values[9999] = std::nanf("");
  ASSERT_THAT(write_npy(path_, {2, 5000}, values), IsOk());
  EXPECT_THAT(
      NpyArray::open(path_)->check_finite(),
      ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("2 of its 10000"), HasSubstr("[1, 3]"))));
  std::fill(values.begin(), values.end(), std::nanf(""));
  ASSERT_THAT(write_npy(path_, {2, 5000}, values), IsOk());
  EXPECT_THAT(NpyArray::open(path_)->check_finite(),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("all its values are infinite or not")));
}

TEST_F(NpyFile, write_refuses_a_shape_of_another_size) {
  EXPECT_THAT(write_npy(path_, {3}, std::vector<float>(2)),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("2 values")));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(NpyFile, reads_the_shapes_that_python_2_wrote) {
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }", 48);
  const auto array = NpyArray::open(path_);
  ASSERT_THAT(array, IsOk());
  EXPECT_EQ(array->shape(), (Shape{3, 4}));
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (3LL, 4L), }", 48);
  EXPECT_THAT(NpyArray::open(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("header")));
}

TEST_F(NpyFile, refuses_a_pipe_instead_of_waiting_for_it) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(NpyArray::open(path_),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a regular file")));
}

TEST_F(NpyFile, that_is_shortened_while_it_is_read_ends_the_process_by_name) {
  ASSERT_THAT(write_npy(path_, {1 << 16}, std::vector<float>(1 << 16, 1.0F)), IsOk());
  const std::filesystem::path other = folder_.path() / "other.npy";
  ASSERT_THAT(write_npy(other, {1 << 16}, std::vector<float>(1 << 16, 1.0F)), IsOk());
  const auto read_shortened = [&] {
    auto closed = NpyArray::open(other);
    closed = NpyArray::open(path_);
    const auto kept = NpyArray::open(other);
    std::filesystem::resize_file(path_, 4096);
    float sum = 0;
    for (const float value : kept->values()) sum += value;
    for (const float value : closed->values()) sum += value;
    ::_exit(sum > 0 ? 0 : 3);
  };
  EXPECT_EXIT(read_shortened(), ::testing::ExitedWithCode(1), "array.npy: cannot be read any more");
}

}  // namespace
}  // namespace outcrop::data
