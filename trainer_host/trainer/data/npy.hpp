#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/known_datasets.hpp"
#include "trainer_host/trainer/data/mapped_file.hpp"

namespace outcrop::data {

// NumPy's .npy format (NEP 1), the part of it that OpenFWI's files use: versions 1 to 3, little
// endian float32, C order. Anything else is refused with what was found and how to convert it.

using Shape = std::vector<std::size_t>;

// "(500, 1, 70, 70)", as Python prints it.
[[nodiscard]] std::string to_string(const Shape& shape);

// The product of the extents: 1 for (). Fails where it overflows.
[[nodiscard]] Result<std::size_t> element_count(const Shape& shape);

// The header of a file of this shape, version 1, padded so that the values start at a multiple
// of 64 bytes.
[[nodiscard]] Bytes npy_header(const Shape& shape);

// Writes a whole array durably: the file is there and complete, or absent.
[[nodiscard]] Status write_npy(const std::filesystem::path& path, const Shape& shape,
                               std::span<const float> values);

// An array in a file, mapped for reading: opening costs no memory, values are read when touched.
// Movable; spans stay valid as long as the array lives, also after a move. May be read from any
// thread. A file that is shortened while it is mapped ends the process, by name (mapping_guard).
class NpyArray {
 public:
  // not_found where there is no such file; invalid_data where the header is not one of a float32
  // C-order array, or the file is shorter or longer than the header says.
  [[nodiscard]] static Result<NpyArray> open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::span<const float> values() const;
  // The whole file, header included: what a digest is taken over.
  [[nodiscard]] BytesView file_bytes() const;
  // Of the file when it was opened.
  [[nodiscard]] const FileStamp& stamp() const { return stamp_; }

  // Reads every value: invalid_data at the first one that is infinite or not a number, with its
  // index; says so when all of them are.
  [[nodiscard]] Status check_finite() const;

 private:
  NpyArray() = default;

  std::filesystem::path path_;
  Shape shape_;
  FileStamp stamp_;
  MappedFile mapping_;
  std::size_t data_offset_ = 0;
};

}  // namespace outcrop::data
