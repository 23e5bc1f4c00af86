#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outcrop::runtime {

// The small files by which Linux shows a machine, /proc and /sys, below a root ("/" but for tests).
// A file may be missing, unreadable or nonsense on any board: that is no error but nothing.
class MachineFiles {
 public:
  explicit MachineFiles(std::filesystem::path root = "/") : root_(std::move(root)) {}

  // The whole text without the blanks and NULs at its end (the device tree ends its strings with
  // one). Nothing where the file is missing, unreadable, empty, above 1 MiB, or no text. Does not
  // wait for a pipe.
  [[nodiscard]] std::optional<std::string> text(const std::filesystem::path& file) const;

  // Where the text is one number and nothing else. Base 16 takes a leading 0x.
  [[nodiscard]] std::optional<std::int64_t> number(const std::filesystem::path& file,
                                                   int base = 10) const;

  // The paths below the root that fit a shell pattern, "sys/block/mmcblk*", sorted.
  [[nodiscard]] std::vector<std::filesystem::path> matching(const std::string& pattern) const;

 private:
  std::filesystem::path root_;
};

}  // namespace outcrop::runtime
