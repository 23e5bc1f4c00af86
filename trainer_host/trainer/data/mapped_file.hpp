#pragma once

#include <cstddef>
#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::data {

// A whole regular file in memory that belongs to the kernel's cache, to be read from any thread. One
// that is shortened meanwhile ends the process, by name (data/mapping_guard.hpp).
class MappedFile {
 public:
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  // Valid as long as this object, or one that it was moved to.
  [[nodiscard]] BytesView bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  MappedFile(void* data, std::size_t size) : data_(data), size_(size) {}

  void* data_;
  std::size_t size_;
};

}  // namespace outcrop::data
