#include "protocol/base/unmounted_disk.hpp"

#include <mntent.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/lies_in.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> mount_points(const fs::path& table) {
  std::vector<fs::path> points;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(::setmntent(table.c_str(), "re"), ::endmntent);
  mntent entry{};
  std::array<char, 4096> text{};
  while (file && ::getmntent_r(file.get(), &entry, text.data(), text.size()) != nullptr) {
    if (entry.mnt_dir[0] == '/') points.push_back(fs::path(entry.mnt_dir).lexically_normal());
  }
  return points;
}

}  // namespace

std::optional<fs::path> unmounted_disk_of(const fs::path& path, const fs::path& table,
                                          const fs::path& mounted) {
  std::error_code error;
  const fs::path place = fs::absolute(path, error).lexically_normal();
  const std::vector<fs::path> there = mount_points(mounted);
  if (there.empty()) return std::nullopt;
  for (const fs::path& point : mount_points(table)) {
    if (!lies_in(place, point)) continue;
    if (std::find(there.begin(), there.end(), point) == there.end()) return point;
  }
  return std::nullopt;
}

}  // namespace outcrop
