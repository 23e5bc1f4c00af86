#include "trainer_host/trainer/data/npy.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/regular_file.hpp"
#include "runtime/engine/npy_header.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

// "[3, 0, 12]": where the value of flat index `flat` stands.
std::string position(const Shape& shape, std::size_t flat) {
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    text = std::to_string(flat % shape[axis]) + (text.empty() ? "" : ", ") + text;
    flat /= shape[axis];
  }
  return "[" + text + "]";
}

Status check_length(const Shape& shape, std::size_t data_offset, std::size_t file_size) {
  OUTCROP_TRY(count, element_count(shape));
  const std::size_t expected = data_offset + count * sizeof(float);
  if (file_size == expected) return {};
  return fail(ErrorCode::invalid_data,
              std::string(file_size < expected ? "cut short" : "too long") + ": " +
                  std::to_string(file_size) + " bytes where an array of shape " + to_string(shape) +
                  " makes " + std::to_string(expected));
}

Status check_type(const std::string& type) {
  if (type == "<f4") return {};
  std::string found = "its values are '" + type + "'";
  if (type == ">f4") found += " (float32, big endian)";
  if (type == "<f8") found += " (float64)";
  return fail(ErrorCode::invalid_data,
              found + "; needed is little-endian float32: array.astype('<f4')");
}

}  // namespace

std::string to_string(const Shape& shape) {
  std::string text;
  for (const std::size_t extent : shape) {
    if (!text.empty()) text += ", ";
    text += std::to_string(extent);
  }
  return "(" + text + (shape.size() == 1 ? ",)" : ")");
}

Result<std::size_t> element_count(const Shape& shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape) {
    // A quarter of what fits, so that the size in bytes fits as well.
    if (extent != 0 && count > SIZE_MAX / 8 / extent) {
      return fail(ErrorCode::invalid_data, "shape " + to_string(shape) + " is too large");
    }
    count *= extent;
  }
  return count;
}

Bytes npy_header(const Shape& shape) {
  return runtime::npy_header("<f4", to_string(shape));
}

Status write_npy(const fs::path& path, const Shape& shape, std::span<const float> values) {
  OUTCROP_TRY(count, element_count(shape));
  if (count != values.size()) {
    return fail(ErrorCode::invalid_argument, "writing " + path.string() + ": " +
                                                 std::to_string(values.size()) +
                                                 " values for shape " + to_string(shape));
  }
  return write_file_durably(path, [&](const fs::path& temporary) -> Status {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(temporary.c_str(), "wb"),
                                                               &std::fclose);
    if (!file) return fail(Error::from_errno("creating " + path.string()));
    const Bytes header = npy_header(shape);
    const bool written =
        std::fwrite(header.data(), 1, header.size(), file.get()) == header.size() &&
        (values.empty() || std::fwrite(values.data(), sizeof(float), values.size(), file.get()) == values.size()) &&
        std::fflush(file.get()) == 0;
    if (!written) return fail(Error::from_errno("writing " + path.string()));
    return {};
  });
}

Result<NpyArray> NpyArray::open(const fs::path& path) {
  OUTCROP_TRY(fd, open_regular_file(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
  NpyArray array;
  array.path_ = path;
  array.stamp_ = stamp_of(info);
  const auto size = static_cast<std::size_t>(info.st_size);
  OUTCROP_TRY(mapping, MappedFile::map(fd, size, path));
  array.mapping_ = std::move(mapping);
  auto header = runtime::parse_npy_header(array.file_bytes());
  if (!header) return fail(header.error().context(path.string()));
  if (const auto status = check_type(header->type); !status) {
    return fail(status.error().context(path.string()));
  }
  if (const auto status = check_length(header->shape, header->data_offset, size); !status) {
    return fail(status.error().context(path.string()));
  }
  array.shape_ = std::move(header->shape);
  array.data_offset_ = header->data_offset;
  return array;
}

BytesView NpyArray::file_bytes() const {
  return mapping_.bytes();
}

std::span<const float> NpyArray::values() const {
  const BytesView data = file_bytes().subspan(data_offset_);
  return {reinterpret_cast<const float*>(data.data()), data.size() / sizeof(float)};
}

Status NpyArray::check_finite() const {
  const auto all = values();
  std::size_t bad = 0;
  std::size_t first = 0;
  // Blocks keep the common case (all finite) a loop that vectorizes.
  constexpr std::size_t block = 4096;
  for (std::size_t begin = 0; begin < all.size(); begin += block) {
    const auto part = all.subspan(begin, std::min(block, all.size() - begin));
    unsigned here = 0;
    for (const float value : part) here += std::isfinite(value) ? 0U : 1U;
    if (here != 0 && bad == 0) {
      const auto at =
          std::find_if(part.begin(), part.end(), [](float value) { return !std::isfinite(value); });
      first = begin + static_cast<std::size_t>(at - part.begin());
    }
    bad += here;
  }
  if (bad == 0) return {};
  const std::string what = bad == all.size()
                               ? "all its values are"
                               : std::to_string(bad) + " of its " + std::to_string(all.size()) +
                                     " values, the first at " + position(shape_, first) + ", are";
  return fail(ErrorCode::invalid_data,
              path_.string() + ": " + what + " infinite or not a number; needed are finite ones");
}

}  // namespace outcrop::data
