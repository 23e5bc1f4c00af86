#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace outcrop {

// A disk that fails, for this process: linking it replaces what the C library's open, read, write,
// fsync, rename and the like do below one folder, from FaultDisk::arm on. Calls are counted, and
// the `at`th that the fault can befall meets it.
struct DiskFault {
  enum class Kind {
    none,
    kill,    // the process, before the call
    cut,     // the same, with the power: what was not synced is gone (power_cut.hpp)
    io,      // EIO
    full,    // ENOSPC of what wants space, until the file "set-aside" gives some back
    interrupt,  // EINTR
    brief,      // half of what should be read or written
  };
  Kind kind = Kind::none;
  std::uint64_t at = 0;
  bool for_ever = false;  // each call from there on
  bool syncs = true;      // without: no fsync does anything, and nobody is told
};

class FaultDisk {
 public:
  // Once for a process. `hit` is written when the fault comes, with the call that it befalls. What
  // was synced is kept in `synced` where the power may be cut.
  static void arm(const std::filesystem::path& folder, const DiskFault& fault,
                  const std::filesystem::path& hit, const std::filesystem::path& synced);
  // Calls that this fault could have befallen.
  [[nodiscard]] static std::uint64_t calls();
  // What lies there, whatever the fault; nothing where there is no such file.
  [[nodiscard]] static std::string look(const std::filesystem::path& file);
};

}  // namespace outcrop
