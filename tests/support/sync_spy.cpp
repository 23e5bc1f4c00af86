#include "tests/support/sync_spy.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <string>
#include <thread>

namespace outcrop {
namespace {

struct Seen {
  std::mutex mutex;
  std::string folder;  // "": nobody looks
  std::thread::id spy;
  std::vector<SyncSpy::Sync> all;
};

// Never destroyed: threads may sync until the very end.
Seen& seen_here() {
  static auto* const one = new Seen;
  return *one;
}

void look_at(int fd) {
  std::array<char, 4096> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
  struct stat info {};
  if (length <= 0 || ::fstat(fd, &info) != 0) return;
  const std::string path(name.data(), static_cast<std::size_t>(length));
  const std::lock_guard lock(seen_here().mutex);
  if (seen_here().folder.empty() || !path.starts_with(seen_here().folder)) return;
  const std::uintmax_t size = S_ISREG(info.st_mode) ? static_cast<std::uintmax_t>(info.st_size) : 0;
  seen_here().all.push_back({path, size, std::this_thread::get_id() == seen_here().spy});
}

}  // namespace

SyncSpy::SyncSpy(std::filesystem::path folder) {
  const std::lock_guard lock(seen_here().mutex);
  seen_here().folder = folder.string();
  seen_here().spy = std::this_thread::get_id();
  seen_here().all.clear();
}

SyncSpy::~SyncSpy() {
  const std::lock_guard lock(seen_here().mutex);
  seen_here().folder.clear();
}

std::vector<SyncSpy::Sync> SyncSpy::seen() const {
  const std::lock_guard lock(seen_here().mutex);
  return seen_here().all;
}

}  // namespace outcrop

extern "C" int fsync(int fd) {
  outcrop::look_at(fd);
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  outcrop::look_at(fd);
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
