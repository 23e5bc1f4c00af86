#include "runtime/runner/landlock.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace outcrop::runtime {
namespace {

// From the kernel's Documentation/userspace-api/landlock.rst; Debian 12's headers know only the
// first of these fields. The numbers of the calls are the same on every architecture.
struct RulesetAttributes {
  std::uint64_t handled_files;
  std::uint64_t handled_network;  // ABI 4
  std::uint64_t scoped;           // ABI 6
};
constexpr long create_ruleset = 444;
constexpr long restrict_self = 446;
constexpr unsigned ask_version = 1;

constexpr std::uint64_t first_bits(int count) {
  return (std::uint64_t{1} << count) - 1;
}

std::string reason(const char* what) {
  return std::string(what) + ": " + std::strerror(errno);
}

}  // namespace

std::string forbid_files_by_landlock() {
  const long abi = ::syscall(create_ruleset, nullptr, 0, ask_version);
  if (abi < 1) return reason("this kernel offers no Landlock");
  RulesetAttributes attributes{};
  attributes.handled_files = abi >= 5   ? first_bits(16)  // device control
                             : abi >= 3 ? first_bits(15)  // truncate
                             : abi == 2 ? first_bits(14)  // move between folders
                                        : first_bits(13);
  if (abi >= 4) attributes.handled_network = first_bits(2);
  if (abi >= 6) attributes.scoped = first_bits(2);
  const std::size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const long ruleset = ::syscall(create_ruleset, &attributes, size, 0);
  if (ruleset < 0) return reason("making a Landlock ruleset");
  const long restricted = ::syscall(restrict_self, ruleset, 0);
  const std::string failure = restricted == 0 ? "" : reason("entering a Landlock ruleset");
  ::close(static_cast<int>(ruleset));
  return failure;
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
