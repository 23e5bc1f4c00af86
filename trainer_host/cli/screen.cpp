#include "trainer_host/cli/screen.hpp"

#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "platform/console/terminal.hpp"

namespace outcrop::cli {
namespace {

constexpr std::chrono::seconds between_looks{2};

// Another number where it is 0: not known.
std::size_t known_or(std::size_t number, std::size_t usual) {
  return number > 0 ? number : usual;
}

Status output_lost(int number) {
  errno = number;
  return fail(Error::from_errno("standard output cannot be written"));
}

// What is still to be written would fail again when the program ends, and be told twice.
Status give_up_output() {
  const int number = errno;
  ::__fpurge(stdout);
  std::clearerr(stdout);
  return output_lost(number);
}

// Lines on the screen, those that a terminal breaks counted as it shows them.
std::size_t lines_shown(const std::string& text, std::size_t columns) {
  std::size_t lines = 0;
  std::size_t column = 0;
  for (const char c : text) {
    if (c == '\n') {
      lines += 1 + (column == 0 ? 0 : (column - 1) / columns);
      column = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      ++column;
    }
  }
  return lines;
}

// Whether what was printed has arrived.
Status written() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? Status() : give_up_output();
}

}  // namespace

Screen::Screen() : terminal_(can_redraw(stdout)) {
  ::signal(SIGPIPE, SIG_IGN);  // a reader that is gone is an error with words, not a silent end
}

Status Screen::show(const std::string& text) {
  if (text == shown_) return {};
  if (terminal_ && !shown_.empty()) {
    const std::size_t lines = lines_shown(shown_, known_or(line_width(STDOUT_FILENO), 80));
    if (lines >= known_or(terminal_rows(STDOUT_FILENO), 24)) {
      std::printf("\033[H\033[2J");  // scrolled out of reach: start at the top of a clear screen
    } else if (lines > 0) {
      std::printf("\033[%zuA\r\033[J", lines);
    }
  } else if (!shown_.empty()) {
    std::printf("\n");
  }
  std::printf("%s", text.c_str());
  shown_ = text;
  return written();
}

Status Screen::append(const std::string& text) {
  std::printf("%s", text.c_str());
  return written();
}

Status Screen::wait(std::chrono::milliseconds time) const {
  // Nothing is asked for: what comes by itself is that nobody reads any more.
  pollfd output{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  if (::poll(&output, 1, static_cast<int>(time.count())) <= 0) return {};
  return output_lost((output.revents & POLLNVAL) != 0 ? EBADF : EPIPE);
}

Status show_or_watch(bool watch, const std::function<Result<std::string>()>& text) {
  Screen screen;
  while (true) {
    OUTCROP_TRY(now, text());
    OUTCROP_CHECK(screen.show(now));
    if (!watch) return {};
    OUTCROP_CHECK(screen.wait(between_looks));
  }
}

}  // namespace outcrop::cli
