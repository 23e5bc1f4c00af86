#include "tests/support/sync_spy.hpp"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
  SyncSpy::Fails fails;
};

// Never destroyed: threads may sync until the very end.
Seen& seen_here() {
  static auto* const one = new Seen;
  return *one;
}

// What it fails with; 0: it is to be made.
int look_at(int fd) {
  std::array<char, 4096> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
  struct stat info {};
  if (length <= 0 || ::fstat(fd, &info) != 0) return 0;
  const std::string path(name.data(), static_cast<std::size_t>(length));
  const std::uintmax_t size = S_ISREG(info.st_mode) ? static_cast<std::uintmax_t>(info.st_size) : 0;
  SyncSpy::Sync sync{path, size, false};
  SyncSpy::Fails fails;
  {
    const std::lock_guard lock(seen_here().mutex);
    if (seen_here().folder.empty() || !path.starts_with(seen_here().folder)) return 0;
    sync.by_this_thread = std::this_thread::get_id() == seen_here().spy;
    seen_here().all.push_back(sync);
    fails = seen_here().fails;
  }
  return fails ? fails(sync) : 0;
}

int answered(int fd, long call) {
  const int failure = look_at(fd);
  if (failure == 0) return static_cast<int>(::syscall(call, fd));
  errno = failure;
  return -1;
}

}  // namespace

SyncSpy::SyncSpy(std::filesystem::path folder, Fails fails) {
  const std::lock_guard lock(seen_here().mutex);
  seen_here().folder = folder.string();
  seen_here().spy = std::this_thread::get_id();
  seen_here().all.clear();
  seen_here().fails = std::move(fails);
}

SyncSpy::~SyncSpy() {
  const std::lock_guard lock(seen_here().mutex);
  seen_here().folder.clear();
  seen_here().fails = nullptr;
}

std::vector<SyncSpy::Sync> SyncSpy::seen() const {
  const std::lock_guard lock(seen_here().mutex);
  return seen_here().all;
}

}  // namespace outcrop

extern "C" int fsync(int fd) {
  return outcrop::answered(fd, SYS_fsync);
}

extern "C" int fdatasync(int fd) {
  return outcrop::answered(fd, SYS_fdatasync);
}
