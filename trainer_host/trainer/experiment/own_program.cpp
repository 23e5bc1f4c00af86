#include "trainer_host/trainer/experiment/own_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "protocol/base/unique_fd.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"

namespace outcrop::experiment {
namespace {

constexpr const char* own_file = "/proc/self/exe";
constexpr const char* own_name = "outcrop";
constexpr int between_looks_ms = 100;

// What is said in lines, kept to the last one that is an error: "outcrop: ...".
class LastError {
 public:
  void hear(std::string_view text) {
    for (const char c : text) {
      if (c != '\n' && c != '\r') {
        line_ += c;
        continue;
      }
      take_line();
    }
  }
  [[nodiscard]] std::string words() {
    take_line();
    return last_;
  }

 private:
  void take_line() {
    const std::string start = std::string(own_name) + ": ";
    if (line_.starts_with(start)) last_ = line_.substr(start.size());
    line_.clear();
  }

  std::string line_;
  std::string last_;
};

// Between fork and exec nothing but system calls: other threads' locks may be held for ever.
[[noreturn]] void become(char* const* arguments, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execv(own_file, arguments);
  ::_exit(127);
}

void write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // a log that cannot be written stops no work
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Until the other end is closed.
void listen(int pipe, int log, pid_t child, LastError& last) {
  std::array<char, 4096> part{};
  bool told = false;
  for (;;) {
    if (data::StopSignal::requested() && !told) {
      ::kill(child, SIGTERM);
      told = true;
    }
    pollfd look{pipe, POLLIN, 0};
    if (::poll(&look, 1, between_looks_ms) <= 0) continue;
    const ssize_t got = ::read(pipe, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    const std::string_view text(part.data(), static_cast<std::size_t>(got));
    write_all(STDERR_FILENO, text);
    write_all(log, text);
    last.hear(text);
  }
}

Status ended(int status, LastError& last) {
  if (data::StopSignal::requested()) return fail(ErrorCode::interrupted, "stopped; the same command goes on from there");
  if (WIFSIGNALED(status)) {
    const std::string name = ::strsignal(WTERMSIG(status));
    return fail(ErrorCode::crashed, "it was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + name + ")" +
                                        (WTERMSIG(status) == SIGKILL ? ", as the kernel does where memory is short" : ""));
  }
  if (WEXITSTATUS(status) == 0) return {};
  const std::string words = last.words();
  return fail(ErrorCode::internal,
              words.empty() ? "it ended with " + std::to_string(WEXITSTATUS(status)) + " and said nothing" : words);
}

}  // namespace

Status run_own_program(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  std::vector<std::string> texts{own_name};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::io, std::string("making a pipe: ") + std::strerror(errno));
  UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  const UniqueFd file(::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) return fail(ErrorCode::io, "writing " + log.string() + ": " + std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail(ErrorCode::io, std::string("starting a process: ") + std::strerror(errno));
  if (child == 0) become(pointers.data(), write.get(), parent);
  write = UniqueFd();
  LastError last;
  listen(read.get(), file.get(), child, last);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return ended(status, last);
}

std::vector<std::string> training_arguments(const std::filesystem::path& config, const std::filesystem::path& out,
                                            std::int64_t stages, const std::vector<std::string>& settings) {
  std::vector<std::string> arguments{"train", config.string(), "--weights-only", "--out", out.string(), "--stages",
                                     std::to_string(stages)};
  for (const std::string& setting : settings) arguments.insert(arguments.end(), {"--set", setting});
  return arguments;
}

}  // namespace outcrop::experiment
