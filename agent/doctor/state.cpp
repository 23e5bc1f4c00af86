#include "agent/doctor/state.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "protocol/base/join.hpp"
#include "protocol/base/unmounted_disk.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> set_aside(const fs::path& folder) {
  std::vector<std::string> names;
  for (const char* part : {"", "identity", "metadata", "outbox", "releases"}) {
    std::error_code error;
    for (fs::directory_iterator entry(folder / part, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".damaged") {
        names.push_back(fs::relative(entry->path(), folder, error).string());
      }
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Finding check_state(const fs::path& folder) {
  if (const auto disk = unmounted_disk_of(folder)) {
    return {"state", Verdict::fail,
            folder.string() + " belongs on a disk that is not mounted at " + disk->string(),
            "sudo mount " + disk->string() + ", then systemctl restart outcrop-agent"};
  }
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) {
    if (errno == ENOENT) return {"state", Verdict::ok, folder.string() + ": nothing yet", {}};
    return {"state", Verdict::unknown, folder.string() + ": " + std::strerror(errno),
            "may this user see the folder? run doctor as the agent's user"};
  }
  if ((disk.f_flag & ST_RDONLY) != 0) {
    return {"state", Verdict::fail, folder.string() + " is on a disk that cannot be written",
            "a card that fails is made read-only by the kernel: dmesg says why; the board serves "
            "on and takes no update until the card is replaced, or mounted to be written"};
  }
  const std::vector<std::string> damaged = set_aside(folder);
  if (damaged.empty()) return {"state", Verdict::ok, folder.string(), {}};
  return {"state", Verdict::warn, "found damaged and set aside: " + join(damaged),
          "does the power fail, or the card? once that is mended, remove them below " +
              folder.string()};
}

}  // namespace outcrop::agent
