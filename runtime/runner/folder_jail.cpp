#include "runtime/runner/folder_jail.hpp"

#include <fcntl.h>
#include <link.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

#include "runtime/runner/attempt.hpp"
#include "runtime/runner/landlock.hpp"
#include "runtime/runner/system_call_filter.hpp"

namespace outcrop::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* second_start = "OUTCROP_JAILED";
constexpr const char* own_program = "/proc/self/exe";

// What programs need of any machine; what this one lacks is left out.
constexpr std::array programs{"/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"};
constexpr std::array machine{
    "/proc", "/sys/devices", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage",
    // the loader, names of users, times, libcrypto, fonts and what fontconfig knows of them
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/locale.alias", "/etc/passwd", "/etc/group",
    "/etc/nsswitch.conf", "/etc/localtime", "/etc/ssl/openssl.cnf", "/etc/fonts",
    "/var/cache/fontconfig", "/dev/urandom", "/dev/random"};
constexpr std::array sinks{"/dev/null", "/dev/zero"};

using Permissions = std::vector<FilePermission>;

void permit_if_there(Permissions& permissions, const fs::path& path, FileAccess access) {
  std::error_code error;
  if (fs::exists(path, error)) permissions.push_back({path, access});
}

int permit_library(dl_phdr_info* library, std::size_t, void* permissions) {
  if (library->dlpi_name != nullptr && library->dlpi_name[0] == '/') {
    permit_if_there(*static_cast<Permissions*>(permissions), library->dlpi_name, FileAccess::run);
  }
  return 0;
}

// This program with its libraries, wherever they are installed, and its siblings. Not its folder:
// that may be somebody's home.
void permit_own_programs(Permissions& permissions) {
  std::error_code error;
  const fs::path self = fs::read_symlink(own_program, error);
  permissions.push_back({own_program, FileAccess::run});
  for (fs::directory_iterator entry(self.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with("outcrop") &&
        entry->is_regular_file(error)) {
      permissions.push_back({entry->path(), FileAccess::run});
    }
  }
  ::dl_iterate_phdr(permit_library, &permissions);
}

Status permit_named(Permissions& permissions, const std::vector<fs::path>& paths,
                    FileAccess access) {
  for (const fs::path& path : paths) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error) {
      return fail(ErrorCode::not_found,
                  "a jail with '" + path.string() + "' in it: " + error.message());
    }
    if (real == real.root_path()) {
      return fail(ErrorCode::invalid_argument,
                  "a jail with '" + path.string() + "' in it would hold every file: name folders");
    }
    permissions.push_back({real, access});
  }
  return {};
}

Result<Permissions> permissions_for(const JailFolders& folders) {
  Permissions permissions;
  OUTCROP_CHECK(permit_named(permissions, folders.read, FileAccess::read));
  OUTCROP_CHECK(permit_named(permissions, folders.write, FileAccess::write));
  OUTCROP_CHECK(permit_named(permissions, folders.run, FileAccess::run));
  for (const char* path : programs) permit_if_there(permissions, path, FileAccess::run);
  for (const char* path : machine) permit_if_there(permissions, path, FileAccess::read);
  for (const char* path : sinks) permit_if_there(permissions, path, FileAccess::write);
  permit_own_programs(permissions);
  return permissions;
}

// Without new privileges even root's next program gets no more than what is left here.
bool leave_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> held{};
  if (::syscall(SYS_capget, &header, held.data()) != 0) return false;
  const std::uint32_t kept = held[0].permitted & (1U << CAP_DAC_OVERRIDE);
  held = {};
  held[0].permitted = held[0].effective = kept;
  return ::syscall(SYS_capset, &header, held.data()) == 0;
}

Status enter_jail(const Permissions& permissions) {
  constexpr unsigned close_on_exec = 1U << 2;
  const rlimit no_core{0, 0};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::setrlimit(RLIMIT_CORE, &no_core) != 0 ||
      ::syscall(SYS_close_range, 3U, ~0U, close_on_exec) != 0) {
    return fail(Error::from_errno("preparing a jail"));
  }
  if (const std::string why = forbid_files_by_landlock(permissions); !why.empty()) {
    return fail(ErrorCode::unsupported, "making a jail: " + why);
  }
  if (!leave_capabilities()) return fail(Error::from_errno("leaving capabilities for a jail"));
  if (const std::string why = refuse_escaping_calls(); !why.empty()) {
    return fail(ErrorCode::unsupported, "making a jail: " + why);
  }
  return {};
}

// What this process was started with, for it takes no part in what main is given.
std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// Variables that programs need. What else a user has there, credentials above all, is nobody's business.
bool is_let_in(std::string_view variable) {
  constexpr std::array names{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "COLUMNS",
                             "LINES", "TZ", "TMPDIR", "XDG_CACHE_HOME", "NO_COLOR", "LD_LIBRARY_PATH", "LD_PRELOAD"};
  constexpr std::array beginnings{"LC_", "OMP_", "GOMP_", "OPENBLAS_", "MKL_", "OUTCROP_", "ASAN_", "UBSAN_",
                                  "LSAN_", "TSAN_", "GNUPLOT_", "GDFONTPATH", "FONTCONFIG_"};
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::ranges::find(names, name) != names.end() ||
         std::ranges::any_of(beginnings, [&](const char* with) { return name.starts_with(with); });
}

Error start_again(std::vector<std::string> arguments) {
  std::vector<char*> list;
  for (std::string& argument : arguments) list.push_back(argument.data());
  list.push_back(nullptr);
  std::string mark = std::string(second_start) + "=1";
  std::vector<char*> variables{mark.data()};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (is_let_in(*variable)) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  std::cout.flush();
  std::fflush(nullptr);
  ::execve(own_program, list.data(), variables.data());
  return Error::from_errno("starting this program again in a jail");
}

// Nothing of it harms where it is not refused; the device is there for anybody to write to.
std::vector<Attempt> try_to_leave() {
  return {
      attempt("list the root folder", [] { return can_open("/", O_RDONLY | O_DIRECTORY); }),
      attempt("write to /dev/full", [] { return can_open("/dev/full", O_WRONLY); }),
      attempt("make a network socket", [] { return can_make_socket(AF_INET); }),
      attempt("make a local socket", [] { return can_make_socket(AF_UNIX); }),
      attempt("make namespaces", [] { return ::syscall(SYS_unshare, 0) == 0; }),
      attempt("gain privileges", [] { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1; }),
      attempt("make any system call", [] { return ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2; }),
  };
}

Status stay_in_jail() {
  std::string leaks;
  for (const Attempt& tried : try_to_leave()) {
    if (!tried.refused) leaks += (leaks.empty() ? "" : ", ") + tried.what;
  }
  if (!leaks.empty()) {
    return fail(ErrorCode::refused, "the variable " + std::string(second_start) +
                                        " says that this process is in a jail, but it can " +
                                        leaks + ": unset the variable");
  }
  // A new program is dumpable, and named by the path that it was started by.
  std::error_code error;
  const std::string name = fs::read_symlink(own_program, error).filename().string();
  ::prctl(PR_SET_NAME, name.c_str());
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail(Error::from_errno("forbidding core dumps"));
  return {};
}

}  // namespace

Status go_on_in_jail(const JailFolders& folders, bool allow_reduced_confinement) {
  if (std::getenv(second_start) != nullptr) return stay_in_jail();
  if (const std::string lacking = lacks_landlock(); !lacking.empty()) {
    if (!allow_reduced_confinement) {
      return fail(ErrorCode::unsupported,
                  "this machine cannot shut this program off from other files while it runs what "
                  "others made (" + lacking + "); --allow-reduced-confinement goes on without");
    }
    std::fprintf(stderr, "note: what others made runs without a jail: %s\n", lacking.c_str());
    return {};
  }
  OUTCROP_TRY(permissions, permissions_for(folders));
  auto arguments = own_arguments();
  OUTCROP_CHECK(enter_jail(permissions));
  return fail(start_again(std::move(arguments)));
}

}  // namespace outcrop::runtime
