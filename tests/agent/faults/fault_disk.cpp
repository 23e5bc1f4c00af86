#include "tests/agent/faults/fault_disk.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string_view>

#include "tests/agent/faults/power_cut.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

// What a full disk has once its space set aside was given back.
constexpr std::int64_t given_back = 512 * 1024;
constexpr std::size_t most_files = 4096;

struct Disk {
  std::atomic<bool> armed = false;
  std::string folder;
  DiskFault fault;
  std::string hit;
  std::string synced;
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::int64_t> space = 0;
  std::array<std::atomic<bool>, most_files> ours{};  // by descriptor
  std::mutex syncing;
};

// Never destroyed: threads may write until the very end.
Disk& disk() {
  static auto* const one = new Disk;
  return *one;
}

// What the disk does by itself meets no fault.
thread_local bool by_disk = false;

bool is_ours(const char* path) {
  return disk().armed && !by_disk && path != nullptr && std::string_view(path).starts_with(disk().folder);
}
bool is_ours(int fd) {
  return disk().armed && !by_disk && fd >= 0 && static_cast<std::size_t>(fd) < most_files &&
         disk().ours[static_cast<std::size_t>(fd)];
}

enum class Wants { nothing, bytes, space_for_bytes, space };  // of a disk

bool can_befall(DiskFault::Kind kind, Wants wants) {
  using Kind = DiskFault::Kind;
  const bool moves_bytes = wants == Wants::bytes || wants == Wants::space_for_bytes;
  switch (kind) {
    case Kind::none:
      return false;
    case Kind::full:
      return wants == Wants::space || wants == Wants::space_for_bytes;
    case Kind::interrupt:
    case Kind::brief:
      return moves_bytes;
    default:
      return true;
  }
}

void say_hit(const char* call) {
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, disk().hit.c_str(),
                                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string line = std::string(call) + "\n";
  (void)!::syscall(SYS_write, fd, line.data(), line.size());
  ::syscall(SYS_close, fd);
}

// Whether the call meets the fault, which has killed the process where it is of that kind.
bool meets_fault(const char* call, Wants wants) {
  using Kind = DiskFault::Kind;
  Disk& here = disk();
  const DiskFault& fault = here.fault;
  if (!can_befall(fault.kind, wants)) return false;
  const std::uint64_t number = ++here.calls;
  if (number < fault.at || fault.at == 0) return false;
  if (number > fault.at && !fault.for_ever) return false;
  if (fault.kind == Kind::full && here.space > 0) {
    here.space -= 4096;
    return false;
  }
  if (number == fault.at) say_hit(call);
  if (fault.kind == Kind::kill || fault.kind == Kind::cut) ::raise(SIGKILL);
  if (fault.kind == Kind::io) errno = EIO;
  if (fault.kind == Kind::full) errno = ENOSPC;
  if (fault.kind == Kind::interrupt) errno = EINTR;
  return true;
}

bool is_brief() {
  return disk().fault.kind == DiskFault::Kind::brief;
}

int open_file(int folder, const char* path, int flags, mode_t mode) {
  const bool ours = is_ours(path);
  const bool makes = (flags & O_CREAT) != 0;
  if (ours && meets_fault("open", makes ? Wants::space : Wants::nothing)) return -1;
  const int fd = static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
  if (fd >= 0 && static_cast<std::size_t>(fd) < most_files) {
    disk().ours[static_cast<std::size_t>(fd)] = ours;
  }
  return fd;
}

// The number of bytes to move, or 0 where the fault is an error.
std::size_t befallen(int fd, const char* call, Wants wants, std::size_t size) {
  if (size == 0 || !is_ours(fd) || !meets_fault(call, wants)) return size;
  return is_brief() ? (size + 1) / 2 : 0;
}

int sync_file(int fd, long number) {
  if (!is_ours(fd)) return static_cast<int>(::syscall(number, fd));
  if (meets_fault("fsync", Wants::nothing)) return -1;
  if (!disk().fault.syncs) return 0;
  // The files may well lie in memory: nothing but what is kept here outlives the cut.
  if (disk().fault.kind != DiskFault::Kind::cut) return 0;
  const std::lock_guard lock(disk().syncing);
  by_disk = true;
  keep_synced(fd, disk().synced);
  by_disk = false;
  return 0;
}

mode_t mode_of(int flags, va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

}  // namespace

void FaultDisk::arm(const fs::path& folder, const DiskFault& fault, const fs::path& hit,
                    const fs::path& synced) {
  Disk& here = disk();
  here.folder = folder.string();
  here.fault = fault;
  here.hit = hit.string();
  here.synced = synced.string();
  if (fault.kind == DiskFault::Kind::cut) keep_all_synced(folder, synced);
  here.armed = true;
}

std::string FaultDisk::look(const fs::path& file) {
  by_disk = true;
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  by_disk = false;
  return text;
}

std::uint64_t FaultDisk::calls() {
  return disk().calls;
}

}  // namespace outcrop

using outcrop::disk;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = outcrop::mode_of(flags, more);
  va_end(more);
  return outcrop::open_file(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = outcrop::mode_of(flags, more);
  va_end(more);
  return outcrop::open_file(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = outcrop::mode_of(flags, more);
  va_end(more);
  return outcrop::open_file(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = outcrop::mode_of(flags, more);
  va_end(more);
  return outcrop::open_file(folder, path, flags, mode);
}
int close(int fd) {
  if (fd >= 0 && static_cast<std::size_t>(fd) < outcrop::most_files) {
    disk().ours[static_cast<std::size_t>(fd)] = false;
  }
  return static_cast<int>(::syscall(SYS_close, fd));
}
ssize_t read(int fd, void* into, size_t size) {
  const size_t now = outcrop::befallen(fd, "read", outcrop::Wants::bytes, size);
  return now == 0 && size > 0 ? -1 : ::syscall(SYS_read, fd, into, now);
}
ssize_t pread(int fd, void* into, size_t size, off_t at) {
  const size_t now = outcrop::befallen(fd, "pread", outcrop::Wants::bytes, size);
  return now == 0 && size > 0 ? -1 : ::syscall(SYS_pread64, fd, into, now, at);
}
ssize_t pread64(int fd, void* into, size_t size, off64_t at) {
  return pread(fd, into, size, at);
}
ssize_t write(int fd, const void* from, size_t size) {
  const size_t now = outcrop::befallen(fd, "write", outcrop::Wants::space_for_bytes, size);
  return now == 0 && size > 0 ? -1 : ::syscall(SYS_write, fd, from, now);
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  const size_t now = outcrop::befallen(fd, "pwrite", outcrop::Wants::space_for_bytes, size);
  return now == 0 && size > 0 ? -1 : ::syscall(SYS_pwrite64, fd, from, now, at);
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) {
  return pwrite(fd, from, size, at);
}
int fsync(int fd) {
  return outcrop::sync_file(fd, SYS_fsync);
}
int fdatasync(int fd) {
  return outcrop::sync_file(fd, SYS_fdatasync);
}
int ftruncate(int fd, off_t size) {
  if (outcrop::is_ours(fd) && outcrop::meets_fault("ftruncate", outcrop::Wants::nothing)) return -1;
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}
int ftruncate64(int fd, off64_t size) {
  return ftruncate(fd, size);
}
int rename(const char* from, const char* to) {
  if (outcrop::is_ours(to) && outcrop::meets_fault("rename", outcrop::Wants::nothing)) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int mkdir(const char* path, mode_t mode) {
  if (outcrop::is_ours(path) && outcrop::meets_fault("mkdir", outcrop::Wants::space)) return -1;
  return static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
int unlink(const char* path) {
  if (outcrop::is_ours(path)) {
    if (outcrop::meets_fault("unlink", outcrop::Wants::nothing)) return -1;
    if (std::string_view(path).ends_with("/set-aside")) disk().space = outcrop::given_back;
  }
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
int remove(const char* path) {
  if (!outcrop::is_ours(path)) {
    const long file = ::syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    return static_cast<int>(file == 0 || errno != EISDIR
                                ? file
                                : ::syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
  }
  return unlink(path);
}
}
