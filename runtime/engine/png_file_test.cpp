#include "runtime/engine/png_file.hpp"

#include <gmock/gmock.h>
#include <png.h>

#include <string>
#include <vector>

#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes png_of(png_uint_32 format, png_uint_32 width, png_uint_32 height,
             const std::vector<png_byte>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.format = format;
  image.width = width;
  image.height = height;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  Bytes bytes(size);
  EXPECT_NE(::png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr), 0)
      << image.message;
  bytes.resize(size);
  return bytes;
}

TEST(PngFile, of_a_grey_image_has_one_channel) {
  const Bytes bytes = png_of(PNG_FORMAT_GRAY, 3, 2, {0, 1, 128, 254, 255, 7});
  EXPECT_TRUE(is_png(bytes));
  const auto image = decode_png(bytes);
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->shape, ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(std::vector<float>(image->floats().begin(), image->floats().end()),
              ElementsAre(0, 1, 128, 254, 255, 7));
}

TEST(PngFile, in_colour_has_a_plane_for_each_channel) {
  const auto image = decode_png(png_of(PNG_FORMAT_RGB, 2, 1, {1, 2, 3, 4, 5, 6}));
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->shape, ElementsAre(1, 3, 1, 2));
  EXPECT_THAT(std::vector<float>(image->floats().begin(), image->floats().end()),
              ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(PngFile, may_say_that_nothing_is_transparent) {
  const auto image = decode_png(png_of(PNG_FORMAT_RGBA, 1, 1, {9, 8, 7, 255}));
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->shape, ElementsAre(1, 3, 1, 1));
  EXPECT_THAT(decode_png(png_of(PNG_FORMAT_GA, 1, 1, {9, 254})),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("transparent in places")));
}

TEST(PngFile, that_is_cut_short_or_damaged_is_refused) {
  const Bytes whole = png_of(PNG_FORMAT_GRAY, 16, 16, std::vector<png_byte>(256, 40));
  for (const std::size_t length : {whole.size() / 2, std::size_t{20}}) {
    EXPECT_THAT(decode_png(BytesView(whole).first(length)),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged or cut short")));
  }
  Bytes damaged = whole;
  const std::size_t pixels = as_text(whole).find("IDAT") + 10;
  damaged.at(pixels) ^= std::byte{0x10};
  EXPECT_THAT(decode_png(damaged), ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged")));
  EXPECT_FALSE(is_png(as_bytes("\x93NUMPY")));
}

TEST(PngFile, that_is_too_large_is_refused_before_it_is_unpacked) {
  EXPECT_THAT(decode_png(png_of(PNG_FORMAT_GRAY, 5000, 1, std::vector<png_byte>(5000))),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("1 rows of 5000 pixels; at most 4096")));
}

TEST(PngFile, is_written_and_read_again_as_the_same) {
  const std::string gray("\x00\x10\x80\xff\x01\xfe", 6);
  const auto file = encode_png(2, 3, gray);
  ASSERT_THAT(file, IsOk());
  const auto image = decode_png(as_bytes(*file));
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->shape, ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(std::vector<float>(image->floats().begin(), image->floats().end()), ElementsAre(0, 16, 128, 255, 1, 254));
  EXPECT_THAT(encode_png(2, 2, gray), ErrorIs(ErrorCode::invalid_argument, HasSubstr("6 bytes are no image of 2 rows of 2")));
  EXPECT_THAT(encode_png(0, 3, ""), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no image")));
}

}  // namespace
}  // namespace outcrop::runtime
