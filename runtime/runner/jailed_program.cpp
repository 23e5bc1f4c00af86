// outcrop-jailed: goes into a folder jail and says what it can do there, a line for each action.
//
//   outcrop-jailed [--nobody] [--old-kernel] [--allow-reduced-confinement]
//                  [--read|--write|--run PATH]... [ACTION OPERAND]...

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/runner/attempt.hpp"
#include "runtime/runner/folder_jail.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::runtime {
namespace {

// A thread that runs before main does, as libraries have them, and does what it is asked to.
class EarlyThread {
 public:
  EarlyThread() : thread_([this] { serve(); }) { thread_.detach(); }

  bool ask(std::function<bool()> work) {
    std::unique_lock lock(mutex_);
    work_ = std::move(work);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !work_; });
    errno = error_;
    return succeeded_;
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return static_cast<bool>(work_); });
      succeeded_ = work_();
      error_ = errno;
      work_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<bool()> work_;
  bool succeeded_ = false;
  int error_ = 0;
  std::thread thread_;
};
// Never destroyed: the thread waits in it until the process ends.
EarlyThread& early = *new EarlyThread;

bool on(const std::string& both, int (*call)(const char*, const char*)) {
  const auto between = both.find(':');
  return call(both.substr(0, between).c_str(), both.substr(between + 1).c_str()) == 0;
}

bool can_pair() {
  std::array<int, 2> ends{};
  return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0;
}

bool can_start_in_own_space() {
  const long child = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
  return child > 0;
}

// Without arguments: outside of the jail many of these work, or complain of them.
bool can_call(const std::string& name) {
  return ::syscall(::seccomp_syscall_resolve_name(name.c_str()), 0, 0, 0, 0, 0, 0) >= 0;
}

// getpid by the numbers of another architecture that the kernel may know.
bool is_killed_by_foreign_call() {
#ifdef __x86_64__
  constexpr long x32 = 0x40000000;
  const pid_t child = ::fork();
  if (child == 0) {
    ::syscall(x32 | SYS_getpid);
    ::_exit(0);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
         WTERMSIG(status) == SIGSYS;
#else
  return true;
#endif
}

// From here on this kernel is one that knows no Landlock.
bool forget_landlock() {
  constexpr int create_ruleset = 444;
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  return ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), create_ruleset, 0) == 0 &&
         ::seccomp_load(filter) == 0;
}

bool has_capabilities(const std::string& mask) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapPrm:")) return line.ends_with(mask);
  }
  return false;
}

bool may_dump_core() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0 ||
         ::prctl(PR_GET_DUMPABLE) != 0;
}

bool starts_confined_runner(const std::string& program) {
  RunnerOptions options;
  options.program = program;
  const auto runner = Runner::start(options);
  if (!runner) std::printf("%s\n", runner.error().message().c_str());
  return runner && runner->hello().missing.empty() &&
         runner->hello().confinement == Confinement::full;
}

using Action = std::function<bool(const std::string& operand)>;

const std::map<std::string, Action>& actions() {
  static const std::map<std::string, Action> all{
      {"say", [](const std::string& word) { return std::printf("%s|", word.c_str()) > 0; }},
      {"read", [](const std::string& path) { return can_open(path.c_str(), O_RDONLY); }},
      {"read-early",
       [](const std::string& path) {
         return early.ask([&] { return can_open(path.c_str(), O_RDONLY); });
       }},
      {"write", [](const std::string& path) { return can_open(path.c_str(), O_WRONLY | O_CREAT); }},
      {"make-set-user-id",
       [](const std::string& path) {
         return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 04755) >= 0;
       }},
      {"copy", [](const std::string& both) {
         const auto between = both.find(':');
         return std::filesystem::copy_file(both.substr(0, between), both.substr(between + 1));
       }},
      {"make-pipe", [](const std::string& path) { return ::mkfifo(path.c_str(), 0600) == 0; }},
      {"cut", [](const std::string& path) { return ::truncate(path.c_str(), 0) == 0; }},
      {"cut-open", [](const std::string& path) { return can_open(path.c_str(), O_TRUNC); }},
      {"change-mode", [](const std::string& path) { return ::chmod(path.c_str(), 0644) == 0; }},
      {"remove", [](const std::string& path) { return ::unlink(path.c_str()) == 0; }},
      {"move", [](const std::string& both) { return on(both, ::rename); }},
      {"link", [](const std::string& both) { return on(both, ::link); }},
      {"link-by-name", [](const std::string& both) { return on(both, ::symlink); }},
      {"make-device",
       [](const std::string& path) {
         return ::mknod(path.c_str(), S_IFBLK | 0600, makedev(8, 0)) == 0;
       }},
      {"use-descriptor",
       [](const std::string& number) { return ::fcntl(std::stoi(number), F_GETFD) >= 0; }},
      {"internet-socket", [](const std::string&) { return can_make_socket(AF_INET); }},
      {"local-socket", [](const std::string&) { return can_make_socket(AF_UNIX); }},
      {"socket-pair", [](const std::string&) { return can_pair(); }},
      {"trace-parent",
       [](const std::string&) { return ::ptrace(PTRACE_SEIZE, ::getppid(), nullptr, 0) == 0; }},
      {"signal-parent", [](const std::string&) { return ::kill(::getppid(), 0) == 0; }},
      {"look-into-parent",
       [](const std::string&) {
         return can_open(("/proc/" + std::to_string(::getppid()) + "/environ").c_str(), O_RDONLY);
       }},
      {"make-namespace", [](const std::string&) { return ::unshare(CLONE_NEWUSER) == 0; }},
      {"start-in-namespace", [](const std::string&) { return can_start_in_own_space(); }},
      {"type-into-terminal",
       [](const std::string&) { return ::ioctl(STDIN_FILENO, TIOCSTI, "x") == 0; }},
      {"call", can_call},
      {"be-killed-by-foreign-call", [](const std::string&) { return is_killed_by_foreign_call(); }},
      {"has-capabilities", has_capabilities},
      {"dump-core", [](const std::string&) { return may_dump_core(); }},
      {"is-called",
       [](const std::string& name) {
         std::array<char, 16> own{};
         return ::prctl(PR_GET_NAME, own.data()) == 0 && name == own.data();
       }},
      {"shell",
       [](const std::string& command) { return std::system(command.c_str()) == 0; }},
      {"runner", starts_confined_runner},
  };
  return all;
}

int run(int argc, char** argv) {
  JailFolders folders;
  bool reduced = false;
  int next = 1;
  const auto operand = [&] { return next < argc ? argv[next++] : ""; };
  for (std::string word; next < argc && (word = argv[next]).starts_with("--");) {
    ++next;
    if (word == "--read") folders.read.emplace_back(operand());
    if (word == "--write") folders.write.emplace_back(operand());
    if (word == "--run") folders.run.emplace_back(operand());
    if (word == "--allow-reduced-confinement") reduced = true;
    if (word == "--old-kernel" && !forget_landlock()) return 3;
    if (word == "--nobody" && ::getuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)) {
      return 3;
    }
  }
  if (const Status jailed = go_on_in_jail(folders, reduced); !jailed) {
    std::printf("%s: %s\n", std::string(to_string(jailed.error().code())).c_str(),
                jailed.error().message().c_str());
    return 1;
  }
  while (next < argc) {
    const std::string name = operand();
    const auto action = actions().find(name);
    if (action == actions().end()) return 4;
    const Attempt tried = attempt(name.c_str(), [&] { return action->second(operand()); });
    std::printf("%s: %s\n", name.c_str(), tried.detail.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace outcrop::runtime

int main(int argc, char** argv) {
  const int code = outcrop::runtime::run(argc, argv);
  std::fflush(stdout);
  ::_exit(code);  // the early thread waits still
}
