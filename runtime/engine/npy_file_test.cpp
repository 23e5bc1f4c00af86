#include "runtime/engine/npy_file.hpp"

#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

#include "runtime/engine/npy_header.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
Bytes array_of(std::string_view type, std::string_view shape, const std::vector<T>& values) {
  Bytes bytes = npy_header(type, shape);
  const auto data = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

TEST(NpyFileOfATensor, reads_as_it_was_written) {
  const std::array<float, 6> values{1, 2, 3, 4, 5, 6};
  const std::array<std::int64_t, 2> integers{-7, 9};
  for (const Tensor& tensor : {Tensor::of_floats("", {2, 3}, values),
                               Tensor::of_integers("", {2}, integers),
                               Tensor::of_floats("", {}, std::span(values).first(1))}) {
    const Bytes bytes = encode_npy(tensor);
    EXPECT_TRUE(is_npy(bytes));
    const auto back = decode_npy(bytes);
    ASSERT_THAT(back, IsOk());
    EXPECT_EQ(describe(*back), describe(tensor));
    EXPECT_EQ(back->data, tensor.data);
  }
}

TEST(NpyFileOfATensor, takes_what_numpy_makes_by_default) {
  const auto real = decode_npy(array_of<double>("<f8", "(2,)", {0.5, -2.0}));
  ASSERT_THAT(real, IsOk());
  EXPECT_THAT(real->floats(), ElementsAre(0.5F, -2.0F));
  const auto whole = decode_npy(array_of<std::int32_t>("<i4", "(1, 2)", {3, -4}));
  ASSERT_THAT(whole, IsOk());
  EXPECT_THAT(whole->integers(), ElementsAre(3, -4));
}

TEST(NpyFileOfATensor, says_what_is_wrong) {
  const auto refused = [](const char* why) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr(why));
  };
  EXPECT_THAT(decode_npy(array_of<std::uint16_t>("<u2", "(2,)", {1, 2})),
              refused("'<u2'; needed is float32 or int64"));
  EXPECT_THAT(decode_npy(array_of<float>("<f4", "(3,)", {1, 2})),
              refused("8 bytes of values where an array of shape (3,) makes 12"));
  EXPECT_THAT(decode_npy(array_of<float>("<f4", "(4294967296, 4294967296)", {1})),
              refused("more bytes than fit"));
  EXPECT_THAT(decode_npy(as_bytes("PK\x03\x04 and so on")), refused("not a .npy file"));
}

}  // namespace
}  // namespace outcrop::runtime
