#include "runtime/runner/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

#include "runtime/runner/messages.hpp"

namespace outcrop::runtime {
namespace {

constexpr std::size_t log_bytes = 4096;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Between fork and exec only calls that are safe after a fork of a threaded process.
[[noreturn]] void become_child(char* const* command, char* const* environment, int socket, int log,
                               int failure, int go, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent was gone before the line above
  char word = 0;
  while (::read(go, &word, 1) < 0 && errno == EINTR) {
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY);
  // Above the range that the next lines fill, so that none of them is overwritten.
  const int high_socket = ::fcntl(socket, F_DUPFD, 10);
  const int high_log = ::fcntl(log, F_DUPFD, 10);
  const int high_failure = ::fcntl(failure, F_DUPFD_CLOEXEC, 10);
  ::dup2(null, 0);
  ::dup2(high_log, 1);
  ::dup2(high_log, 2);
  ::dup2(high_socket, ChildProcess::socket_descriptor);
  ::dup2(high_failure, 4);
  ::fcntl(4, F_SETFD, FD_CLOEXEC);
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, 5U, ~0U, 0U) != 0)
#endif
  {
    for (int fd = 5; fd < 4096; ++fd) ::close(fd);
  }
  ::execve(command[0], command, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t told = ::write(4, &error, sizeof error);
  ::_exit(127);
}

Status make_pipe(UniqueFd& read_end, UniqueFd& write_end, int flags) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | flags) != 0) return fail(Error::from_errno("making a pipe"));
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  return {};
}

UniqueFd open_proc(pid_t id, const char* name) {
  const std::string path = "/proc/" + std::to_string(id) + "/" + name;
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// A file of /proc as it is now; empty once its process is gone.
std::istringstream read_anew(const UniqueFd& file) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count =
        ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::istringstream(std::move(text));
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string ChildEnd::describe() const {
  if (!by_signal) return "exited with status " + std::to_string(number);
  std::string text = "ended by signal " + std::to_string(number);
  if (const char* name = ::strsignal(number)) text += std::string(" (") + name + ")";
  return text;
}

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& command,
                                         const std::vector<std::string>& environment,
                                         UniqueFd socket) {
  UniqueFd log_read, log_write, failure_read, failure_write, go_read, go_write;
  // Not blocking: a child that writes more than we read loses words instead of waiting for us.
  OUTCROP_CHECK(make_pipe(log_read, log_write, O_NONBLOCK));
  OUTCROP_CHECK(make_pipe(failure_read, failure_write, 0));
  OUTCROP_CHECK(make_pipe(go_read, go_write, 0));
  const auto arguments = pointers(command);
  const auto variables = pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t id = ::fork();
  if (id < 0) return fail(Error::from_errno("starting " + command[0]));
  if (id == 0) {
    become_child(arguments.data(), variables.data(), socket.get(), log_write.get(),
                 failure_write.get(), go_read.get(), parent);
  }
  ChildProcess child(id, std::move(log_read), open_proc(id, "stat"), open_proc(id, "status"));
  if (::write(go_write.get(), "", 1) != 1) return fail(Error::from_errno("starting " + command[0]));
  failure_write.reset();
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(failure_read.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    errno = error;
    return fail(Error::from_errno("starting " + command[0]));
  }
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : id_(std::exchange(other.id_, -1)),
      log_(std::move(other.log_)),
      stat_(std::move(other.stat_)),
      status_(std::move(other.status_)),
      log_tail_(std::move(other.log_tail_)),
      ended_(other.ended_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    end(std::chrono::milliseconds(0));
    id_ = std::exchange(other.id_, -1);
    log_ = std::move(other.log_);
    stat_ = std::move(other.stat_);
    status_ = std::move(other.status_);
    log_tail_ = std::move(other.log_tail_);
    ended_ = other.ended_;
  }
  return *this;
}

ChildProcess::~ChildProcess() {
  end(std::chrono::milliseconds(0));
}

ChildEnd ChildProcess::end(std::chrono::milliseconds patience) {
  if (id_ < 0) return ended_;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  siginfo_t info{};
  // WNOWAIT leaves the zombie, and with it the group's number, until the group is killed.
  while (::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(-id_, SIGKILL);
  ::kill(id_, SIGKILL);  // in case it has not yet made its group
  int status = 0;
  while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  id_ = -1;
  ended_.by_signal = WIFSIGNALED(status);
  ended_.number = ended_.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
  return ended_;
}

std::string ChildProcess::last_words() {
  std::array<char, log_bytes> buffer{};
  for (;;) {
    const ssize_t count = ::read(log_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    log_tail_.append(buffer.data(), static_cast<std::size_t>(count));
    if (log_tail_.size() > log_bytes) log_tail_.erase(0, log_tail_.size() - log_bytes);
  }
  std::string words = printable(log_tail_, log_bytes);
  while (!words.empty() && words.back() == '\n') words.pop_back();
  return words;
}

void ChildProcess::allow_cpu_time(std::chrono::seconds more) {
  const auto used = cpu_time();
  if (!used) return;
  rlimit limit{};
  if (::prlimit(id_, RLIMIT_CPU, nullptr, &limit) != 0) return;
  limit.rlim_cur =
      static_cast<rlim_t>(std::chrono::ceil<std::chrono::seconds>(*used).count() + more.count());
  limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
  ::prlimit(id_, RLIMIT_CPU, &limit, nullptr);
}

Result<std::chrono::milliseconds> ChildProcess::cpu_time() const {
  std::istringstream file = read_anew(stat_);
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');  // the name may hold spaces and brackets
  if (name_end == std::string::npos) return fail(ErrorCode::not_found, "the runner is gone");
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;  // utime and stime are fields 14 and 15
  std::int64_t user = 0, system = 0;
  if (!(fields >> user >> system)) return fail(ErrorCode::not_found, "the runner is gone");
  return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

Result<std::uint64_t> ChildProcess::status_line(std::string_view key) const {
  std::istringstream file = read_anew(status_);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':') {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10);
    }
  }
  return fail(ErrorCode::not_found, "no line '" + std::string(key) + "' in the runner's status");
}

Result<ByteCount> ChildProcess::resident_memory() const {
  OUTCROP_TRY(kib, status_line("VmRSS"));
  return ByteCount::kib(kib);
}

Result<ByteCount> ChildProcess::peak_memory() const {
  OUTCROP_TRY(kib, status_line("VmHWM"));
  return ByteCount::kib(kib);
}

}  // namespace outcrop::runtime
