#include "runtime/runner/confine.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <thread>

#include "runtime/runner/landlock.hpp"
#include "runtime/runner/system_call_filter.hpp"

namespace outcrop::runtime {
namespace {

// More than a running child ever opens, few enough to be of no use.
constexpr rlim_t open_descriptors = 32;
constexpr rlim_t main_stack = rlim_t{8} << 20;
// Until the parent sets its own limit with the first request.
constexpr rlim_t cpu_seconds = 60;

int count_threads() {
  int count = 0;
  if (DIR* folder = ::opendir("/proc/self/task")) {
    while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
    ::closedir(folder);
  }
  return count;
}

struct Held {
  ByteCount data;           // private and writable: what RLIMIT_DATA counts
  ByteCount address_space;  // what RLIMIT_AS counts
};

Held held_now() {
  Held held;
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    const auto kib = [&line] { return ByteCount::kib(std::strtoull(line.c_str() + 7, nullptr, 10)); };
    if (line.starts_with("VmData:")) held.data = kib();
    if (line.starts_with("VmSize:")) held.address_space = kib();
  }
  return held;
}

// What is reserved and never written: for each thread of each pool a stack and an arena of the C library (64 MiB).
ByteCount reservations() {
  constexpr std::uint64_t pools = 3;
  return ByteCount::mib(512 + 72 * pools * std::max(1U, std::thread::hardware_concurrency()));
}

bool set_limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
  const rlimit limit{soft, hard};
  return ::setrlimit(resource, &limit) == 0;
}

bool set_limits(rlim_t memory, rlim_t address_space) {
  // RLIMIT_DATA does not count the main thread's stack.
  rlimit inherited{};
  if (::getrlimit(RLIMIT_STACK, &inherited) != 0) return false;
  const rlim_t stack = std::min(main_stack, inherited.rlim_cur);
  // No limit on the number of processes: it counts all of a user's, and the filter forbids
  // starting any.
  return set_limit(RLIMIT_DATA, memory, memory) && set_limit(RLIMIT_AS, address_space, address_space) &&
         set_limit(RLIMIT_FSIZE, 0, 0) &&
         set_limit(RLIMIT_CORE, 0, 0) && set_limit(RLIMIT_MEMLOCK, 0, 0) &&
         set_limit(RLIMIT_STACK, stack, stack) &&
         set_limit(RLIMIT_NOFILE, open_descriptors, open_descriptors) &&
         // Only the soft limit ends the process, and only the parent may still move it.
         set_limit(RLIMIT_CPU, cpu_seconds, RLIM_INFINITY);
}

bool can_connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // A refused connection means that the network was there.
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool reached = result == 0 || errno == ECONNREFUSED;
  ::close(fd);
  return reached;
}

// A missing program: EPERM means that the call itself is forbidden.
bool can_run_programs() {
  char name[] = "/outcrop/no/such/program";
  char* const arguments[] = {name, nullptr};
  char* const environment[] = {nullptr};
  ::execve(name, arguments, environment);
  return errno != EPERM && errno != ENOSYS;
}

bool can_fork() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return child > 0;
}

bool can_map(std::size_t bytes, int kind, int access = PROT_READ | PROT_WRITE) {
  void* memory = ::mmap(nullptr, bytes, access, kind | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  ::munmap(memory, bytes);
  return true;
}

// The limit counts no shared mapping, and none that the kernel takes for a stack.
bool can_map_uncounted(std::size_t bytes) {
  return can_map(bytes, MAP_SHARED) || can_map(bytes, MAP_PRIVATE | MAP_GROWSDOWN);
}

// As much as the limit that is set allows in all: with what the process already holds, too much.
bool can_exceed(__rlimit_resource_t resource, int access) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
  return can_map(static_cast<std::size_t>(limit.rlim_cur), MAP_PRIVATE, access);
}

// Its present ones: nothing changes where this is allowed.
bool can_move(pid_t process) {
  cpu_set_t processors;
  return ::sched_getaffinity(process, sizeof processors, &processors) == 0 &&
         ::sched_setaffinity(process, sizeof processors, &processors) == 0;
}

bool can_raise_limits() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CPU, &limit) != 0) return false;
  limit.rlim_cur += 1;
  return ::setrlimit(RLIMIT_CPU, &limit) == 0;
}

bool can_gain_privileges() {
  return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

}  // namespace

std::vector<std::string> confine_this_process(ByteCount memory_limit) {
  std::vector<std::string> missing;
  const auto need = [&](bool holds, std::string what) {
    if (!holds) missing.push_back(std::move(what));
  };
  // Before the files of /proc are out of reach.
  const Held held = held_now();
  const auto memory = static_cast<rlim_t>(held.data.value() + memory_limit.value());
  const std::uint64_t space = held.address_space.value() + memory_limit.value() + reservations().value();
  const auto address_space = static_cast<rlim_t>(std::min<std::uint64_t>(space, RLIM_INFINITY));
  need(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
  ::prctl(PR_SET_DUMPABLE, 0);

  // Landlock and namespaces bind the calling thread and its children only.
  if (count_threads() == 1) {
    if (const std::string landlock = forbid_files_by_landlock(); !landlock.empty()) {
      const std::string left = leave_files_by_namespace();
      need(left.empty(), "no files: " + landlock + "; " + left);
    }
  } else {
    need(false, "no files: threads were running before they could be confined");
  }
  need(held.data > ByteCount() && set_limits(memory, address_space), "limits on memory, files and CPU time");
  if (const std::string filter = filter_system_calls(); !filter.empty()) {
    need(false, "system call filter: " + filter);
  }
  // Some emulators accept all of the above and enforce nothing.
  for (const Attempt& tried : try_to_escape("/outcrop-probe", 9)) {
    need(tried.refused, "it can still " + tried.what);
  }
  return missing;
}

std::vector<Attempt> try_to_escape(const std::string& file, int port) {
  return {
      attempt("write a file", [&] { return can_open(file.c_str(), O_WRONLY | O_CREAT); }),
      attempt("read a file", [] { return can_open("/proc/self/status", O_RDONLY); }),
      attempt("list a folder", [] { return can_open("/", O_RDONLY | O_DIRECTORY); }),
      attempt("reach the network", [&] { return can_connect(port); }),
      attempt("make a socket", [] { return can_make_socket(AF_UNIX); }),
      attempt("run a program", [] { return can_run_programs(); }),
      attempt("start a process", [] { return can_fork(); }),
      attempt("trace a process", [] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0) == 0; }),
      attempt("signal its parent", [] { return ::kill(::getppid(), 0) == 0; }),
      attempt("take more memory than its limit", [] { return can_exceed(RLIMIT_DATA, PROT_READ | PROT_WRITE); }),
      attempt("map more than its limit of address space", [] { return can_exceed(RLIMIT_AS, PROT_READ); }),
      attempt("take memory that no limit counts",
              [] { return can_map_uncounted(std::size_t{1} << 20); }),
      attempt("choose its parent's processors", [] { return can_move(::getppid()); }),
      attempt("raise its limits", [] { return can_raise_limits(); }),
      attempt("gain privileges", [] { return can_gain_privileges(); }),
  };
}

}  // namespace outcrop::runtime
