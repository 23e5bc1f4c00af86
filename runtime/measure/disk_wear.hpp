#pragma once

#include <filesystem>
#include <optional>

#include "protocol/base/bytes.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::runtime {

// What a card or another flash disk went through. Nothing where the kernel does not say it: SD cards know no wear, and only ext4 and
// f2fs count what they write.
struct DiskWear {
  std::optional<ByteCount> written;  // to the file system, since it was made
  // The share of its rated life that is used, by the device's own estimate in tenths, rounded up: 0.1 when new, 1 and above when it is
  // used up (JEDEC 84-B51, DEVICE_LIFE_TIME_EST, the worse of both kinds of cells).
  std::optional<double> worn;
  bool operator==(const DiskWear&) const = default;
};

// Of the file system that holds `folder`.
[[nodiscard]] DiskWear read_disk_wear(const MachineFiles& files, const std::filesystem::path& folder);
// Of the one that the kernel knows by these numbers.
[[nodiscard]] DiskWear read_disk_wear(const MachineFiles& files, unsigned major, unsigned minor);

}  // namespace outcrop::runtime
