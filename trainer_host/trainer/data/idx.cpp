#include "trainer_host/trainer/data/idx.hpp"

#include <string>
#include <utility>

#include "protocol/base/hex.hpp"
#include "trainer_host/trainer/data/gzip_file.hpp"

namespace outcrop::data {
namespace {

constexpr std::size_t magic_bytes = 4;
constexpr std::size_t extent_bytes = 4;
constexpr std::byte unsigned_bytes{0x08};

std::size_t header_bytes(std::size_t dimensions) {
  return magic_bytes + dimensions * extent_bytes;
}

std::string type_name(std::byte type) {
  switch (std::to_integer<int>(type)) {
    case 0x09: return "signed bytes";
    case 0x0b: return "16-bit integers";
    case 0x0c: return "32-bit integers";
    case 0x0d: return "float32";
    case 0x0e: return "float64";
    default: return "";
  }
}

std::string dimensions_in_words(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " dimension" : " dimensions");
}

std::string product_in_words(const Shape& shape) {
  std::string text;
  for (const std::size_t extent : shape) {
    text += (text.empty() ? "" : " x ") + std::to_string(extent);
  }
  return text;
}

Status check_magic(BytesView bytes, std::size_t dimensions) {
  const std::string right = "; an IDX file of " + dimensions_in_words(dimensions) +
                            " begins with 00 00 08 0" + std::to_string(dimensions);
  if (bytes.size() < header_bytes(dimensions)) {
    return fail(ErrorCode::invalid_data,
                "cut short: " + std::to_string(bytes.size()) + " bytes, and the header alone takes " +
                    std::to_string(header_bytes(dimensions)) + right);
  }
  if (bytes[0] != std::byte{0} || bytes[1] != std::byte{0}) {
    return fail(ErrorCode::invalid_data,
                "no IDX file: it begins with " + to_hex(bytes.first(magic_bytes)) + right);
  }
  if (bytes[2] != unsigned_bytes) {
    const std::string type = type_name(bytes[2]);
    return fail(ErrorCode::invalid_data,
                (type.empty() ? "no IDX file: it begins with " + to_hex(bytes.first(magic_bytes))
                              : "its values are " + type + "; unsigned bytes are read") +
                    right);
  }
  const auto found = std::to_integer<std::size_t>(bytes[3]);
  if (found != dimensions) {
    return fail(ErrorCode::invalid_data,
                "it has " + dimensions_in_words(found) + "; images have 3 (their number, rows, columns), "
                "labels 1" + right);
  }
  return {};
}

std::size_t extent_at(BytesView bytes) {
  std::size_t extent = 0;
  for (std::size_t i = 0; i < extent_bytes; ++i) {
    extent = (extent << 8) | std::to_integer<std::size_t>(bytes[i]);
  }
  return extent;
}

Result<Shape> read_shape(BytesView bytes, std::size_t dimensions) {
  OUTCROP_CHECK(check_magic(bytes, dimensions));
  Shape shape;
  for (std::size_t i = 0; i < dimensions; ++i) {
    shape.push_back(extent_at(bytes.subspan(header_bytes(i))));
    if (shape.back() > 0) continue;
    return fail(ErrorCode::invalid_data, "its header says that extent " + std::to_string(i + 1) +
                                             " of " + std::to_string(dimensions) + " is 0");
  }
  OUTCROP_TRY(expected, element_count(shape));
  const std::size_t found = bytes.size() - header_bytes(dimensions);
  if (found == expected) return shape;
  return fail(ErrorCode::invalid_data,
              std::string(found < expected ? "cut short" : "too long") + ": " +
                  std::to_string(found) + " values where its header says " +
                  product_in_words(shape) + " = " + std::to_string(expected));
}

}  // namespace

Result<IdxFile> IdxFile::read(const std::filesystem::path& path, std::size_t dimensions) {
  OUTCROP_TRY(bytes, read_unpacked(path, most_unpacked));
  auto shape = read_shape(bytes, dimensions);
  if (!shape) return fail(shape.error().context(path.string()));
  IdxFile file;
  file.shape_ = std::move(*shape);
  file.bytes_ = std::move(bytes);
  return file;
}

std::span<const std::uint8_t> IdxFile::values() const {
  const auto values = BytesView(bytes_).subspan(header_bytes(shape_.size()));
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size()};
}

}  // namespace outcrop::data
