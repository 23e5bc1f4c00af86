#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace outcrop {

// Who in this process syncs what to the disk below `folder` while it lives, and how large that is
// then. Linking it replaces fsync and fdatasync of the C library in the test; without an object of
// this they do what they always do. One at a time.
class SyncSpy {
 public:
  struct Sync {
    std::filesystem::path path;
    std::uintmax_t size = 0;     // 0 of a folder
    bool by_this_thread = false;  // that made the spy
  };
  // Asked before each, on its thread: what it fails with, as errno has it; 0: nothing.
  using Fails = std::function<int(const Sync&)>;

  explicit SyncSpy(std::filesystem::path folder, Fails fails = {});
  SyncSpy(const SyncSpy&) = delete;
  SyncSpy& operator=(const SyncSpy&) = delete;
  ~SyncSpy();
  [[nodiscard]] std::vector<Sync> seen() const;
};

}  // namespace outcrop
