#include "trainer_host/trainer/evaluate/gnuplot.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"

extern char** environ;

namespace outcrop::evaluate {
namespace {

using namespace std::chrono_literals;

constexpr auto deadline = 60s;

// The script in memory that ends up as standard input: no pipe to fill while reading the answer.
Result<UniqueFd> as_input(const std::string& script) {
  UniqueFd fd(::memfd_create("gnuplot-script", MFD_CLOEXEC));
  if (!fd) return fail(Error::from_errno("making room for a chart's script"));
  for (std::size_t done = 0; done < script.size();) {
    const auto written = ::write(fd.get(), script.data() + done, script.size() - done);
    if (written < 0) return fail(Error::from_errno("writing a chart's script"));
    done += static_cast<std::size_t>(written);
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

Error does_not_start(const char* why) {
  return Error(ErrorCode::unsupported,
               std::string("charts need gnuplot (Debian package gnuplot-nox), which does not "
                           "start: ") +
                   why);
}

Result<pid_t> start(int input, int complaints) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
  std::array<char, 8> program{"gnuplot"};
  std::array<char, 4> defaults{"-d"};  // not the user's own settings
  std::array<char*, 3> arguments{program.data(), defaults.data(), nullptr};
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return child;
  return fail(does_not_start(std::strerror(error)));
}

// What gnuplot says until it ends, or nothing after the deadline.
Result<std::string> listen(const UniqueFd& pipe) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  std::string said;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd ready{pipe.get(), POLLIN, 0};
    const int polled = left <= 0ms ? 0 : ::poll(&ready, 1, static_cast<int>(left.count()));
    if (polled == 0) return fail(ErrorCode::timeout, "gnuplot took longer than a minute");
    if (polled < 0 && errno == EINTR) continue;
    std::array<char, 4096> part{};
    const auto got = ::read(pipe.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return said;
    said.append(part.data(), static_cast<std::size_t>(got));
  }
}

Status run(const std::string& script) {
  OUTCROP_TRY(input, as_input(script));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail(Error::from_errno("making a pipe for gnuplot"));
  }
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  OUTCROP_TRY(child, start(input.get(), writing.get()));
  writing.reset();
  const auto said = listen(reading);
  if (!said) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!said) return fail(said.error());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  // What a child says that could not become the program, where the parent does not hear of it:
  // POSIX, posix_spawn, "ERRORS". So it is under qemu.
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return fail(does_not_start("there is no such program"));
  }
  if (said->find("terminal type") != std::string::npos) {
    return fail(ErrorCode::unsupported,
                "this gnuplot draws no PNG (it has no terminal 'pngcairo'); Debian's package "
                "gnuplot-nox does");
  }
  return fail(ErrorCode::internal, "gnuplot refused a chart: " + *said);
}

std::string terminal_of(PixelSize size) {
  return "set terminal pngcairo noenhanced font 'DejaVu Sans,10' size " +
         std::to_string(size.width) + "," + std::to_string(size.height) + "\n";
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "''";
    } else if (static_cast<unsigned char>(c) >= ' ') {
      result += c;
    }
  }
  return result + "'";
}

Status check_drawing() {
  return run(terminal_of({.width = 200, .height = 150}) + "set output '/dev/null'\nplot x\n");
}

Status draw(const std::string& script, PixelSize size, const std::filesystem::path& png) {
  return write_file_durably(png, [&](const std::filesystem::path& temporary) -> Status {
    auto drawn = run(terminal_of(size) + "set output " + quoted(temporary.string()) + "\n" +
                     script + "\nset output\n");
    if (!drawn) return fail(drawn.error().context("drawing " + png.string()));
    std::error_code error;
    if (std::filesystem::file_size(temporary, error) == 0 || error) {
      return fail(ErrorCode::internal, "drawing " + png.string() + ": gnuplot drew nothing");
    }
    return {};
  });
}

}  // namespace outcrop::evaluate
