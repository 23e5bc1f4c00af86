#include "runtime/runner/landlock.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "protocol/base/unique_fd.hpp"

namespace outcrop::runtime {
namespace {

// From the kernel's Documentation/userspace-api/landlock.rst; Debian 12's headers know only the
// first of these fields. The numbers of the calls are the same on every architecture.
struct RulesetAttributes {
  std::uint64_t handled_files;
  std::uint64_t handled_network;  // ABI 4
  std::uint64_t scoped;           // ABI 6
};
struct [[gnu::packed]] PathAttributes {
  std::uint64_t allowed;
  std::int32_t descriptor;
};
constexpr long create_ruleset = 444;
constexpr long add_rule = 445;
constexpr long restrict_self = 446;
constexpr unsigned ask_version = 1;
constexpr int path_beneath = 1;

constexpr std::uint64_t first_bits(int count) {
  return (std::uint64_t{1} << count) - 1;
}

// Rights by their numbers in that documentation.
template <class... Numbers>
constexpr std::uint64_t rights(Numbers... numbers) {
  return ((std::uint64_t{1} << numbers) | ...);
}
constexpr std::uint64_t to_read = rights(2, 3);  // a file, a folder
constexpr std::uint64_t to_run = to_read | rights(0);
// Write a file; remove folders and files; make folders and files; move between folders; truncate.
constexpr std::uint64_t to_write = to_read | rights(1, 4, 5, 7, 8, 13, 14);
constexpr std::uint64_t of_files = rights(0, 1, 2, 14, 15);

constexpr std::uint64_t rights_of(FileAccess access) {
  return access == FileAccess::write ? to_write : access == FileAccess::run ? to_run : to_read;
}

long landlock_version() {
  return ::syscall(create_ruleset, nullptr, 0, ask_version);
}

std::string reason(const char* what) {
  return std::string(what) + ": " + std::strerror(errno);
}

std::string permit(const UniqueFd& ruleset, const FilePermission& permission,
                   std::uint64_t handled) {
  const UniqueFd place(::open(permission.path.c_str(), O_PATH | O_CLOEXEC));
  struct stat found{};
  if (!place || ::fstat(place.get(), &found) != 0) return reason(permission.path.c_str());
  PathAttributes attributes{rights_of(permission.access) & handled, place.get()};
  if (!S_ISDIR(found.st_mode)) attributes.allowed &= of_files;
  if (::syscall(add_rule, ruleset.get(), path_beneath, &attributes, 0) == 0) return {};
  return reason(("permitting " + permission.path.string()).c_str());
}

}  // namespace

std::string lacks_landlock() {
  return landlock_version() < 1 ? reason("this kernel offers no Landlock") : "";
}

std::string forbid_files_by_landlock(const std::vector<FilePermission>& permitted) {
  const long abi = landlock_version();
  if (abi < 1) return lacks_landlock();
  RulesetAttributes attributes{};
  attributes.handled_files = abi >= 5   ? first_bits(16)  // device control
                             : abi >= 3 ? first_bits(15)  // truncate
                             : abi == 2 ? first_bits(14)  // move between folders
                                        : first_bits(13);
  if (abi >= 4) attributes.handled_network = first_bits(2);
  if (abi >= 6) attributes.scoped = first_bits(2);
  const std::size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const UniqueFd ruleset(static_cast<int>(::syscall(create_ruleset, &attributes, size, 0)));
  if (!ruleset) return reason("making a Landlock ruleset");
  for (const FilePermission& permission : permitted) {
    const std::string refused = permit(ruleset, permission, attributes.handled_files);
    if (!refused.empty()) return refused;
  }
  return ::syscall(restrict_self, ruleset.get(), 0) == 0 ? ""
                                                         : reason("entering a Landlock ruleset");
}

std::string leave_files_by_namespace() {
  // A service manager may allow no more than the first two; the others are a second wall behind
  // the filter of system calls.
  constexpr int needed = CLONE_NEWUSER | CLONE_NEWNS;
  if (::unshare(needed | CLONE_NEWNET | CLONE_NEWIPC) != 0 && ::unshare(needed) != 0) {
    return reason("making namespaces");
  }
  constexpr const char* anywhere = "/proc";
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", anywhere, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") != 0 ||
      ::chdir(anywhere) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 ||
      ::mount("none", "/", nullptr, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              nullptr) != 0) {
    return reason("leaving the file system");
  }
  return {};
}

}  // namespace outcrop::runtime
