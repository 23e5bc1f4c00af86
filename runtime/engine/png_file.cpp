#include "runtime/engine/png_file.hpp"

#include <png.h>

#include <string>
#include <vector>

namespace outcrop::runtime {
namespace {

constexpr png_uint_32 largest_side = 4096;  // rows or columns: 64 MiB with transparency
constexpr png_byte opaque = 255;

// libpng's simplified interface: its errors come back as a message.
class Image {
 public:
  Image() { image_.version = PNG_IMAGE_VERSION; }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() { ::png_image_free(&image_); }

  Status begin(BytesView bytes) {
    if (::png_image_begin_read_from_memory(&image_, bytes.data(), bytes.size()) == 0) return wrong();
    // Of 16 bits, too, where it does not say otherwise: they become 8 by their upper half.
    image_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    if (image_.width <= largest_side && image_.height <= largest_side) return {};
    return fail(ErrorCode::invalid_data,
                "the image has " + std::to_string(image_.height) + " rows of " +
                    std::to_string(image_.width) + " pixels; at most " +
                    std::to_string(largest_side) + " of each are read");
  }

  // Row by row, pixel by pixel, a byte for each channel.
  Result<std::vector<png_byte>> pixels() {
    image_.format = (image_.format & PNG_FORMAT_FLAG_COLOR) != 0
                        ? (has_alpha() ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB)
                        : (has_alpha() ? PNG_FORMAT_GA : PNG_FORMAT_GRAY);
    std::vector<png_byte> pixels(PNG_IMAGE_SIZE(image_));
    if (::png_image_finish_read(&image_, nullptr, pixels.data(), 0, nullptr) == 0) {
      return fail(wrong().error());
    }
    return pixels;
  }

  [[nodiscard]] bool has_alpha() const { return (image_.format & PNG_FORMAT_FLAG_ALPHA) != 0; }
  [[nodiscard]] std::size_t samples() const { return PNG_IMAGE_SAMPLE_CHANNELS(image_.format); }
  [[nodiscard]] std::size_t rows() const { return image_.height; }
  [[nodiscard]] std::size_t columns() const { return image_.width; }

 private:
  [[nodiscard]] Status wrong() const {
    return fail(ErrorCode::invalid_data,
                std::string("the PNG file is damaged or cut short: ") + image_.message);
  }

  png_image image_{};
};

}  // namespace

bool is_png(BytesView bytes) {
  return as_text(bytes).starts_with("\x89PNG\r\n\x1a\n");
}

Result<Tensor> decode_png(BytesView bytes) {
  Image image;
  OUTCROP_CHECK(image.begin(bytes));
  OUTCROP_TRY(pixels, image.pixels());
  const std::size_t samples = image.samples();
  const std::size_t channels = samples - (image.has_alpha() ? 1 : 0);
  const std::size_t plane = image.rows() * image.columns();
  std::vector<float> values(channels * plane);
  for (std::size_t at = 0; at < plane; ++at) {
    const png_byte* const pixel = pixels.data() + at * samples;
    if (image.has_alpha() && pixel[channels] != opaque) {
      return fail(ErrorCode::invalid_data,
                  "the image is transparent in places, and a model sees none of what lies behind: "
                  "save it without transparency");
    }
    for (std::size_t channel = 0; channel < channels; ++channel) {
      values[channel * plane + at] = pixel[channel];
    }
  }
  return Tensor::of_floats("",
                           {1, static_cast<std::int64_t>(channels),
                            static_cast<std::int64_t>(image.rows()),
                            static_cast<std::int64_t>(image.columns())},
                           values);
}

Result<std::string> encode_png(std::size_t rows, std::size_t columns, std::string_view gray) {
  if (rows < 1 || columns < 1 || rows > largest_side || columns > largest_side || gray.size() != rows * columns) {
    return fail(ErrorCode::invalid_argument, std::to_string(gray.size()) + " bytes are no image of " + std::to_string(rows) +
                                                 " rows of " + std::to_string(columns) + " pixels");
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(columns);
  image.height = static_cast<png_uint_32>(rows);
  image.format = PNG_FORMAT_GRAY;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = file.size();
  if (::png_image_write_to_memory(&image, file.data(), &size, 0, gray.data(), 0, nullptr) == 0) {
    return fail(ErrorCode::internal, std::string("writing a PNG file: ") + image.message);
  }
  file.resize(size);
  return file;
}

}  // namespace outcrop::runtime
