#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

struct stat;

namespace outcrop::data {

// What tells a file from what it was, without a look at its contents.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970: its contents
  std::int64_t changed = 0;   // likewise: anything of it, which no program can set back

  bool operator==(const FileStamp&) const = default;
  // Old enough that a change from now on gives another time: clocks of file systems are coarse. A
  // file of the future never is.
  [[nodiscard]] bool settled() const;
};

[[nodiscard]] FileStamp stamp_of(const struct stat& info);
[[nodiscard]] Result<FileStamp> stamp_of(const std::filesystem::path& path);

// What reading a data set from end to end has told, kept from one start of a program to the next: a
// small file for each state of a data set, in a folder of the user's. A key stands for the state of
// all its files (Dataset makes it); what is not known is read. Files are replaced as a whole, so any
// number of processes and threads may share the folder; one that means nothing is as good as none.
class KnownDatasets {
 public:
  struct Known {
    std::vector<std::string> warnings;  // of the survey, which let it pass
    std::string digest;                 // "": not taken yet
  };
  static constexpr std::size_t most_files = 256;

  // Nothing is known, and nothing kept, without a folder.
  explicit KnownDatasets(std::optional<std::filesystem::path> folder) : folder_(std::move(folder)) {}
  // $XDG_CACHE_HOME/outcrop/datasets, or ~/.cache/outcrop/datasets.
  [[nodiscard]] static const KnownDatasets& of_user();

  [[nodiscard]] std::optional<Known> find(const std::string& key) const;
  // Where that fails, a process says so once: it will be read again, no more. The oldest files beyond
  // `most_files` are removed.
  void remember(const std::string& key, const Known& known) const;

 private:
  Status write(const std::string& key, const Known& known) const;
  void remove_oldest() const;

  std::optional<std::filesystem::path> folder_;
};

}  // namespace outcrop::data
