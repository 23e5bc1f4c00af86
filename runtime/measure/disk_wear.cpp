#include "runtime/measure/disk_wear.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string>

namespace outcrop::runtime {
namespace {

constexpr std::int64_t most_written = std::int64_t{1} << 50;  // KiB
constexpr unsigned used_up = 11;                                // in tenths: above what it was made for

// "mmcblk0p2", from the lines of a uevent.
std::string name_of(const MachineFiles& files, const std::filesystem::path& device) {
  std::istringstream lines(files.text(device / "uevent").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("DEVNAME=") && line.find('/') == std::string::npos) return line.substr(8);
  }
  return "";
}

// "0x01 0x02": of cells that hold one bit, and of the others. 0x00 is not told.
std::optional<double> worse_of(const std::string& life_times) {
  std::istringstream words(life_times);
  std::optional<double> worst;
  for (std::string word; words >> word;) {
    unsigned tenths = 0;
    const char* const end = word.data() + word.size();
    if (!word.starts_with("0x")) return std::nullopt;
    const auto [at, error] = std::from_chars(word.data() + 2, end, tenths, 16);
    if (error != std::errc() || at != end || tenths > used_up) return std::nullopt;
    if (tenths > 0) worst = std::max(worst.value_or(0), tenths / 10.0);
  }
  return worst;
}

}  // namespace

DiskWear read_disk_wear(const MachineFiles& files, const std::filesystem::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return {};
  return read_disk_wear(files, gnu_dev_major(info.st_dev), gnu_dev_minor(info.st_dev));
}

DiskWear read_disk_wear(const MachineFiles& files, unsigned major, unsigned minor) {
  const std::filesystem::path device = "sys/dev/block/" + std::to_string(major) + ":" + std::to_string(minor);
  DiskWear wear;
  const std::string name = name_of(files, device);
  if (name.empty()) return wear;
  for (const char* kind : {"ext4", "f2fs"}) {
    const auto kib = files.number(std::filesystem::path("sys/fs") / kind / name / "lifetime_write_kbytes");
    if (kib && *kib >= 0 && *kib < most_written) wear.written = ByteCount::kib(static_cast<std::uint64_t>(*kib));
  }
  for (const char* disk : {"device", "../device"}) {  // of a whole disk, and of a partition of one
    if (const auto text = files.text(device / disk / "life_time")) wear.worn = worse_of(*text);
  }
  return wear;
}

}  // namespace outcrop::runtime
