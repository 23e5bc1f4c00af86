#pragma once

#include <cstddef>
#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::data {

// A whole regular file in memory that belongs to the kernel's cache, to be read from any thread. One
// that is shortened meanwhile ends the process, by name (data/mapping_guard.hpp).
class MappedFile {
 public:
  // not_found and io where it cannot be opened; invalid_data where it is no regular file.
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);
  // Of a regular file that is open and has that many bytes; `path` is for messages.
  [[nodiscard]] static Result<MappedFile> map(const UniqueFd& fd, std::size_t size,
                                              const std::filesystem::path& path);

  MappedFile() = default;  // of nothing
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid as long as this object, or one that it was moved to.
  [[nodiscard]] BytesView bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  MappedFile(void* data, std::size_t size) : data_(data), size_(size) {}

  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace outcrop::data
