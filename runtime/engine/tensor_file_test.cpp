#include "runtime/engine/tensor_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Tensor> two_tensors() {
  const std::array<float, 6> velocity{1500, 1600, 1700, 4500, -0.0F, 1e-30F};
  const std::array<std::int64_t, 2> seeds{7, std::numeric_limits<std::int64_t>::min()};
  return {Tensor::of_floats("velocity", {2, 3}, velocity), Tensor::of_integers("seed", {2}, seeds)};
}

Bytes file_of(std::string_view header, std::size_t data_bytes) {
  Bytes bytes(8);
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(header.size() >> (8 * i));
  for (const char c : header) bytes.push_back(static_cast<std::byte>(c));
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

TEST(TensorFile, keeps_names_order_shapes_and_bits) {
  const TemporaryFolder folder;
  const auto tensors = two_tensors();
  ASSERT_THAT(write_tensor_file(folder.path() / "t.safetensors", tensors), IsOk());
  const auto read = read_tensor_file(folder.path() / "t.safetensors");
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*read)[i].name, tensors[i].name);
    EXPECT_EQ((*read)[i].dtype, tensors[i].dtype);
    EXPECT_EQ((*read)[i].shape, tensors[i].shape);
    EXPECT_EQ((*read)[i].data, tensors[i].data);
  }
}

TEST(TensorFile, is_the_public_format_byte_for_byte) {
  const std::array<float, 1> one{1.0F};
  const auto bytes = encode_tensor_file(std::array{Tensor::of_floats("x", {1}, one)});
  ASSERT_THAT(bytes, IsOk());
  const std::string header = R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected{static_cast<char>(padded.size()), 0, 0, 0, 0, 0, 0, 0};
  expected += padded + std::string("\x00\x00\x80\x3f", 4);
  EXPECT_EQ(as_text(*bytes), expected);
}

TEST(TensorFile, carries_texts_that_readers_of_tensors_pass_over) {
  const auto tensors = two_tensors();
  const TensorMetadata texts{{"outcrop-quality", R"({"samples":64})"}, {"format", "pt"}};
  const auto bytes = encode_tensor_file(tensors, texts);
  ASSERT_THAT(bytes, IsOk());
  const auto read = decode_tensor_file(*bytes);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->at(1).data, tensors[1].data);
  const auto back = decode_tensor_metadata(*bytes);
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, texts);
  const auto none = decode_tensor_metadata(*encode_tensor_file(tensors));
  ASSERT_THAT(none, IsOk());
  EXPECT_TRUE(none->empty());
  EXPECT_THAT(decode_tensor_metadata(file_of(R"({"__metadata__":{"a":1}})", 0)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("'a' is not a text")));
  EXPECT_THAT(decode_tensor_metadata(file_of(R"({"__metadata__":[]})", 0)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not an object")));
}

TEST(TensorFile, reads_tensors_in_the_order_of_their_bytes_whatever_the_header_says) {
  const auto read =
      decode_tensor_file(file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},
                  "b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
                  "__metadata__":{"made":"by hand"}})",
                                 12));
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].name, "b");
  EXPECT_EQ((*read)[1].name, "a");
}

TEST(TensorFile, refuses_every_cut) {
  const auto bytes = encode_tensor_file(two_tensors());
  ASSERT_THAT(bytes, IsOk());
  for (std::size_t length = 0; length < bytes->size(); ++length) {
    EXPECT_THAT(decode_tensor_file(BytesView(*bytes).first(length)),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("")))
        << "cut at " << length;
  }
}

struct BadHeader {
  const char* what;
  const char* header;
  std::size_t data_bytes;
  const char* message;
};

class BadHeaders : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaders, are_refused_by_name) {
  EXPECT_THAT(decode_tensor_file(file_of(GetParam().header, GetParam().data_bytes)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr(GetParam().message)))
      << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(
    TensorFile, BadHeaders,
    ::testing::Values(
        BadHeader{"no JSON", "{", 0, "not a JSON object"},
        BadHeader{"an array", "[]", 0, "not a JSON object"},
        BadHeader{"dtype", R"({"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4, "F16"},
        BadHeader{"negative", R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
                  "shape of 'x'"},
        BadHeader{"huge",
                  R"({"x":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}})",
                  4, "more bytes than fit"},
        BadHeader{"wrong size", R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                  "takes 8 bytes"},
        BadHeader{"gap", R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
                  "do not follow"},
        BadHeader{
            "overlap",
            R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
            4, "do not follow"},
        BadHeader{"rest", R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5,
                  "1 bytes belong to no tensor"},
        BadHeader{"backwards", R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}})", 4,
                  "not two byte positions"},
        BadHeader{"unknown key", R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"z":1}})",
                  4, "'z'"},
        BadHeader{
            "twice",
            R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            8, "twice"},
        BadHeader{"no name", R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
                  "without a name"}));

TEST(TensorFile, refuses_a_header_longer_than_a_mebibyte_before_reading_it) {
  Bytes bytes(16);
  bytes[6] = std::byte{1};
  EXPECT_THAT(decode_tensor_file(bytes), ErrorIs(ErrorCode::invalid_data, HasSubstr("1 MiB")));
}

TEST(TensorFile, names_the_other_format_of_a_file) {
  const auto of = [](std::string_view text) { return as_bytes(text); };
  EXPECT_THAT(decode_tensor_file(of("\x93NUMPY, version 1, {'descr'")),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("no .safetensors file: it is a NumPy array (.npy)")));
  EXPECT_THAT(decode_tensor_file(of("PK\x03\x04\x14\x08\x08\x08 archive")),
              ErrorIs(ErrorCode::invalid_data, HasSubstr(".ptl")));
  EXPECT_THAT(decode_tensor_file(of("\x89PNG\r\n\x1a\n and more")),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("no .safetensors file")));
}

TEST(TensorFile, writes_no_tensor_whose_bytes_do_not_fit_its_shape) {
  auto tensors = two_tensors();
  tensors[0].shape = {2, 4};
  EXPECT_THAT(encode_tensor_file(tensors),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("takes 32 bytes, got 24")));
}

TEST(Tensor, row_keeps_the_first_dimension) {
  const auto tensors = two_tensors();
  const Tensor row = tensors[0].row(1);
  EXPECT_THAT(row.shape, ElementsAre(1, 3));
  EXPECT_THAT(row.floats(), ElementsAre(4500, -0.0F, 1e-30F));
}

}  // namespace
}  // namespace outcrop::runtime
