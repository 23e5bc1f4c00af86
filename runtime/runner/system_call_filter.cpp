#include "runtime/runner/system_call_filter.hpp"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>

namespace outcrop::runtime {
namespace {

// Calls without dangerous arguments. Not every name exists on every architecture. No call that
// opens, names or makes a file, socket, process or namespace is among them.
constexpr std::array harmless{
    // what the process already holds
    "read", "write", "readv", "writev", "pread64", "lseek", "_llseek", "close", "fstat", "fstat64",
    "poll", "ppoll", "ppoll_time64", "recvmsg", "recvfrom",
    // memory (mappings below; no mremap: growing a stack's mapping escapes RLIMIT_DATA, and the
    // C library copies where it may not grow)
    "brk", "munmap", "mprotect", "madvise",
    // threads and signals of its own
    "futex", "futex_time64", "set_robust_list", "set_tid_address", "rseq", "membarrier",
    "sched_yield", "sched_getaffinity", "getcpu", "gettid", "getpid",
    "getppid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack",
    "restart_syscall", "exit", "exit_group",
    // time and the machine
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "clock_nanosleep",
    "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "getrusage", "getrandom",
    "uname", "sysinfo"};

struct Release {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

using Conditions = std::initializer_list<scmp_arg_cmp>;

// Adds a rule for a call that this architecture has; a call it lacks needs none.
int add_rule_for(const Filter& filter, std::uint32_t action, const char* name,
                 Conditions conditions) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return 0;
  const int result =
      ::seccomp_rule_add_array(filter.get(), action, number,
                               static_cast<unsigned>(conditions.size()), conditions.begin());
  return number < 0 ? 0 : result;
}

int allow(const Filter& filter, const char* name, Conditions conditions = {}) {
  return add_rule_for(filter, SCMP_ACT_ALLOW, name, conditions);
}

int refuse(const Filter& filter, const char* name, Conditions conditions = {}) {
  return add_rule_for(filter, SCMP_ACT_ERRNO(EPERM), name, conditions);
}

int allow_with_conditions(const Filter& filter) {
  // RLIMIT_DATA counts neither shared mappings nor those that grow downwards, as stacks may.
  constexpr scmp_datum_t mapping_kind = 0x0f | MAP_GROWSDOWN;
  // A thread, never a process; clone3 hides its flags in memory, and glibc falls back.
  constexpr scmp_datum_t thread_flags = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
  const auto self = static_cast<scmp_datum_t>(::getpid());
  int result = 0;
  for (const char* map : {"mmap", "mmap2"}) {
    result |= allow(filter, map, {SCMP_A3(SCMP_CMP_MASKED_EQ, mapping_kind, MAP_PRIVATE)});
  }
  result |= allow(filter, "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, thread_flags, thread_flags)});
  result |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // Which processors the calling thread runs on, and nobody else.
  result |= allow(filter, "sched_setaffinity", {SCMP_A0(SCMP_CMP_EQ, 0)});
  // abort() and stack overflow handlers signal their own process only.
  result |= allow(filter, "tgkill", {SCMP_A0(SCMP_CMP_EQ, self)});
  // send() without an address on a connected socket.
  result |= allow(filter, "sendto", {SCMP_A4(SCMP_CMP_EQ, 0)});
  // Reading limits, as pthread_create does; never changing them.
  result |= allow(filter, "prlimit64", {SCMP_A2(SCMP_CMP_EQ, 0)});
  result |= allow(filter, "getrlimit");
  result |= allow(filter, "ugetrlimit");
  for (const int command : {F_GETFD, F_GETFL, F_GET_SEALS}) {
    for (const char* control : {"fcntl", "fcntl64"}) {
      result |= allow(filter, control, {SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command))});
    }
  }
  for (const int option : {PR_SET_NAME, PR_GET_NAME}) {
    result |= allow(filter, "prctl", {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option))});
  }
  return result;
}

// What refuse_escaping_calls refuses whatever the arguments.
constexpr std::array escaping{
    // other programs, near and far
    "socket", "socketcall", "connect", "bind", "listen", "accept", "accept4", "ptrace",
    "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease",
    "pidfd_getfd", "kcmp", "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop",
    "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "ipc", "mq_open", "mq_unlink",
    // ways around the filter of calls, and into the kernel
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "iopl", "ioperm", "modify_ldt", "syslog",
    // namespaces and mounts
    "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff",
    "quotactl", "quotactl_fd", "acct", "fanotify_init", "open_by_handle_at",
    // the machine
    "reboot", "sethostname", "setdomainname", "settimeofday", "stime", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex",
    // what Landlock does not guard of a file (fchmod stays: a copied file gets its mode by it)
    "truncate", "truncate64", "chmod", "fchmodat", "fchmodat2", "chown", "chown32", "lchown",
    "lchown32", "fchown", "fchown32", "fchownat", "utime", "utimes", "futimesat", "setxattr",
    "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr",
    "removexattrat", "file_setattr"};

int refuse_with_conditions(const Filter& filter) {
  constexpr scmp_datum_t low_half = 0xffffffff;
  int result = 0;
  for (const int space : {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID,
                          CLONE_NEWNET, CLONE_NEWCGROUP}) {
    const auto flag = static_cast<scmp_datum_t>(space);
    result |= refuse(filter, "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
  }
  result |= add_rule_for(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", {});
  // Reading the personality is harmless.
  result |= refuse(filter, "personality", {SCMP_A0(SCMP_CMP_NE, low_half)});
  // Words put into the terminal, or its selection pasted, would be the user's next command.
  for (const scmp_datum_t request : {scmp_datum_t{TIOCSTI}, scmp_datum_t{TIOCLINUX}}) {
    result |= refuse(filter, "ioctl", {SCMP_A1(SCMP_CMP_MASKED_EQ, low_half, request)});
  }
  // Programs that would run as this user for others who start them.
  for (const int bit : {S_ISUID, S_ISGID}) {
    const auto mode = static_cast<scmp_datum_t>(bit);
    result |= refuse(filter, "fchmod", {SCMP_A1(SCMP_CMP_MASKED_EQ, mode, mode)});
    result |= refuse(filter, "creat", {SCMP_A1(SCMP_CMP_MASKED_EQ, mode, mode)});
    result |= refuse(filter, "mknod", {SCMP_A1(SCMP_CMP_MASKED_EQ, mode, mode)});
    result |= refuse(filter, "mknodat", {SCMP_A2(SCMP_CMP_MASKED_EQ, mode, mode)});
    for (const scmp_datum_t making : {scmp_datum_t{O_CREAT}, scmp_datum_t{O_TMPFILE}}) {
      result |= refuse(filter, "open", {SCMP_A1(SCMP_CMP_MASKED_EQ, making, making),
                                        SCMP_A2(SCMP_CMP_MASKED_EQ, mode, mode)});
      result |= refuse(filter, "openat", {SCMP_A2(SCMP_CMP_MASKED_EQ, making, making),
                                          SCMP_A3(SCMP_CMP_MASKED_EQ, mode, mode)});
    }
  }
  // Opened to be cut short, but not to be written: Landlock sees no writing there before ABI 3.
  constexpr scmp_datum_t kinds = O_TRUNC | O_ACCMODE;
  for (const int no_writing : {O_RDONLY, O_WRONLY | O_RDWR}) {
    const auto cutting = static_cast<scmp_datum_t>(O_TRUNC | no_writing);
    result |= refuse(filter, "open", {SCMP_A1(SCMP_CMP_MASKED_EQ, kinds, cutting)});
    result |= refuse(filter, "openat", {SCMP_A2(SCMP_CMP_MASKED_EQ, kinds, cutting)});
  }
  result |= add_rule_for(filter, SCMP_ACT_ERRNO(ENOSYS), "openat2", {});
  // Of a file by its name; without one it is that of a descriptor.
  for (const char* touch : {"utimensat", "utimensat_time64"}) {
    result |= refuse(filter, touch, {SCMP_A1(SCMP_CMP_NE, 0)});
  }
  return result;
}

std::string load(const Filter& filter) {
  const int loaded = ::seccomp_load(filter.get());
  return loaded == 0
             ? ""
             : std::string("this kernel takes no system call filter: ") + std::strerror(-loaded);
}

}  // namespace

std::string filter_system_calls() {
  const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return "making a system call filter: no memory";
  int result = 0;
  for (const char* name : harmless) result |= allow(filter, name);
  result |= allow_with_conditions(filter);
  if (result != 0) return "making a system call filter: a rule was refused";
  // All threads at once: a thread that LibTorch had started would stay unfiltered otherwise.
  if (::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) {
    return "making a system call filter: this kernel cannot filter all threads";
  }
  return load(filter);
}

std::string refuse_escaping_calls() {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return "making a system call filter: no memory";
  int result = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  for (const char* name : escaping) result |= refuse(filter, name);
  result |= refuse_with_conditions(filter);
  if (result != 0) return "making a system call filter: a rule was refused";
  return load(filter);
}

}  // namespace outcrop::runtime
