#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace outcrop {

// Who in this process syncs what to the disk below `folder` while it lives, and how large that is
// then. Linking it replaces fsync and fdatasync of the C library in the test; without an object of
// this they do what they always do. One at a time.
class SyncSpy {
 public:
  explicit SyncSpy(std::filesystem::path folder);
  SyncSpy(const SyncSpy&) = delete;
  SyncSpy& operator=(const SyncSpy&) = delete;
  ~SyncSpy();

  struct Sync {
    std::filesystem::path path;
    std::uintmax_t size = 0;     // 0 of a folder
    bool by_this_thread = false;  // that made the spy
  };
  [[nodiscard]] std::vector<Sync> seen() const;
};

}  // namespace outcrop
