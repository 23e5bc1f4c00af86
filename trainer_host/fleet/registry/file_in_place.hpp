#pragma once

#include <cstdint>
#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Whether a database is still the file that was opened: who brings a backup back while its program runs leaves that with
// a file that nobody will ever read.
class FileInPlace {
 public:
  // `file` is there, as it is from now on.
  [[nodiscard]] static Result<FileInPlace> of(std::filesystem::path file);

  // refused, with what was to be done, where another file, or none, has its name by now.
  [[nodiscard]] Status check() const;

 private:
  FileInPlace(std::filesystem::path file, std::uint64_t device, std::uint64_t inode)
      : file_(std::move(file)), device_(device), inode_(inode) {}

  std::filesystem::path file_;
  std::uint64_t device_, inode_;
};

}  // namespace outcrop::fleet
