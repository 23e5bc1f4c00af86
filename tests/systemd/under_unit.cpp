#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <linux/landlock.h>

// Runs a program as a unit's restrictions would leave it, where there is no systemd to do it:
//
//   outcrop-under-unit RULES PROGRAM ARGUMENT...
//
// RULES has a word and a value in each line:
//   call NAME         SystemCallFilter= allows it; every other fails with EPERM
//   family AF_INET    RestrictAddressFamilies=
//   namespace user    RestrictNamespaces= allows it
//   users private     PrivateUsers=yes
//   proc invisible    ProtectProc=invisible, where this user may mount
//   write PATH        ProtectSystem=strict leaves it writable (a folder, with what is in it)
//   no-landlock yes   as on a kernel without it: `write` has no effect, either
// Capabilities are dropped and NoNewPrivileges set always.

namespace {

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "outcrop-under-unit: %s: %s\n", what, std::strerror(errno));
  std::exit(125);
}

void check(bool good, const char* what) {
  if (!good) die(what);
}

using Rules = std::multimap<std::string, std::string>;

std::set<std::string> values(const Rules& rules, const std::string& word) {
  std::set<std::string> found;
  for (auto [at, end] = rules.equal_range(word); at != end; ++at) found.insert(at->second);
  return found;
}

Rules read_rules(const char* path) {
  std::ifstream file(path);
  check(file.good(), path);
  Rules rules;
  for (std::string word, value; file >> word >> value;) rules.emplace(word, value);
  return rules;
}

void write_line(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  check(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
        path);
  ::close(fd);
}

// As systemd does, but root's own group may see no more than others: tests run as root, services do not.
void hide_other_processes() {
  if (::geteuid() != 0) return;
  check(::unshare(CLONE_NEWNS) == 0, "making a mount namespace");
  check(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "keeping mounts private");
  check(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "hidepid=2,gid=65534") == 0,
        "mounting /proc");
}

// As systemd does: root and the unit's own user are themselves, all others nobody.
void hide_other_users() {
  const std::string user = std::to_string(::getuid());
  const std::string group = std::to_string(::getgid());
  check(::unshare(CLONE_NEWUSER) == 0, "making a user namespace");
  write_line("/proc/self/setgroups", "deny");
  write_line("/proc/self/uid_map", user + " " + user + " 1");
  write_line("/proc/self/gid_map", group + " " + group + " 1");
}

void make_files_read_only(const std::set<std::string>& writable) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  const int ruleset =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  check(ruleset >= 0, "making a Landlock ruleset");
  for (const std::string& path : writable) {
    const int folder = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT) continue;
    check(folder >= 0, path.c_str());
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = attributes.handled_access_fs;
    beneath.parent_fd = folder;
    check(::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0,
          path.c_str());
    ::close(folder);
  }
  check(::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0, "entering a Landlock ruleset");
  ::close(ruleset);
}

void drop_capabilities() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    check(::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, "dropping a capability");
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  check(::syscall(SYS_capset, &header, none) == 0, "dropping capabilities");
}

constexpr struct {
  const char* name;
  unsigned long flag;
} namespaces[] = {{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"net", CLONE_NEWNET},
                  {"mnt", CLONE_NEWNS},        {"pid", CLONE_NEWPID}, {"user", CLONE_NEWUSER},
                  {"uts", CLONE_NEWUTS}};

constexpr struct {
  const char* name;
  int number;
} families[] = {{"AF_UNIX", AF_UNIX}, {"AF_INET", AF_INET}, {"AF_INET6", AF_INET6}};

void allow(scmp_filter_ctx filter, const std::string& name, const Rules& rules) {
  const int call = ::seccomp_syscall_resolve_name(name.c_str());
  if (call == __NR_SCMP_ERROR || call < 0) return;  // of another architecture
  if (name == "clone3") return;                     // its flags cannot be seen: below
  if (name.starts_with("landlock_") && rules.contains("no-landlock")) return;
  int result = 0;
  if (name == "socket") {
    const std::set<std::string> allowed = values(rules, "family");
    for (const auto& family : families) {
      if (!allowed.contains(family.name)) continue;
      result |= ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                   SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family.number)));
    }
  } else if (name == "clone" || name == "unshare") {
    scmp_datum_t forbidden = 0;
    const std::set<std::string> allowed = values(rules, "namespace");
    for (const auto& space : namespaces) {
      if (!allowed.contains(space.name)) forbidden |= space.flag;
    }
    result = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, forbidden, 0));
  } else if (name == "setns") {
    return;
  } else {
    result = ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  check(result == 0, name.c_str());
}

void filter_calls(const Rules& rules) {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
  check(filter != nullptr, "making a system call filter");
  for (const std::string& name : values(rules, "call")) allow(filter, name, rules);
  check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0, "clone3");
  check(::seccomp_load(filter) == 0, "entering the system call filter");
  ::seccomp_release(filter);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: outcrop-under-unit RULES PROGRAM ARGUMENT...\n");
    return 2;
  }
  const Rules rules = read_rules(argv[1]);
  if (rules.contains("proc")) hide_other_processes();
  if (rules.contains("users")) hide_other_users();
  drop_capabilities();
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "NoNewPrivileges");
  // Who is under Landlock may mount nothing, which is what a runner without it has to do.
  if (!rules.contains("no-landlock")) make_files_read_only(values(rules, "write"));
  filter_calls(rules);
  ::execv(argv[2], argv + 2);
  die(argv[2]);
}
