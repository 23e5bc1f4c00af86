#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {

// An IDX file, the format of MNIST (LeCun and Cortes 1998) and of what came after it, of unsigned bytes:
// 00 00 08 and the number of dimensions, the extent of each as four bytes, most significant first, then
// the values. May be packed by gzip, as data sets are handed out.
class IdxFile {
 public:
  // not_found where there is no such file; invalid_data, with the file's name and what would be right,
  // where it is no IDX file, holds values of another type or has another number of dimensions, has none
  // along one of them, or is shorter or longer than its header says.
  [[nodiscard]] static Result<IdxFile> read(const std::filesystem::path& path,
                                            std::size_t dimensions);

  [[nodiscard]] const Shape& shape() const { return shape_; }
  // In the order of the file: the last dimension runs fastest.
  [[nodiscard]] std::span<const std::uint8_t> values() const;

 private:
  Shape shape_;
  Bytes bytes_;  // header included
};

}  // namespace outcrop::data
