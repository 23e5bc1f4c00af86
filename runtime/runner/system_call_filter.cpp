#include "runtime/runner/system_call_filter.hpp"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "getcpu", "gettid", "getpid",
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

// Adds a rule for a call that this architecture has; a call it lacks needs none.
int allow(const Filter& filter, const char* name,
          std::initializer_list<scmp_arg_cmp> conditions = {}) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return 0;
  const int result =
      ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number,
                               static_cast<unsigned>(conditions.size()), conditions.begin());
  return number < 0 ? 0 : result;
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
  const int loaded = ::seccomp_load(filter.get());
  return loaded == 0
             ? ""
             : std::string("this kernel takes no system call filter: ") + std::strerror(-loaded);
}

}  // namespace outcrop::runtime
