#pragma once

#include <filesystem>
#include <span>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::agent {

// The file that a blob arrives in. What failed for want of room is `no_space`; what is in it stays,
// so that the transfer can go on.
class PartialFile {
 public:
  // Made where missing. What goes beyond `size` is cut off.
  [[nodiscard]] static Result<PartialFile> open(std::filesystem::path path, ByteCount size);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] Result<ByteCount> size() const;
  // Up to buffer.size() bytes; what it returns is shorter at the end of the file.
  [[nodiscard]] Result<BytesView> read(ByteCount offset, std::span<std::byte> buffer) const;
  [[nodiscard]] Status write(ByteCount offset, BytesView bytes);
  // Waits for the disk, which may take seconds.
  [[nodiscard]] Status sync() const;

 private:
  PartialFile(std::filesystem::path path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace outcrop::agent
