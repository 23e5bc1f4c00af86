#include "trainer_host/cli/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "platform/console/terminal.hpp"

namespace outcrop::cli {
namespace {

constexpr std::chrono::seconds between_looks{2};

winsize terminal_size() {
  winsize size{};
  const bool known =
      ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
  return known ? size : winsize{24, 80, 0, 0};
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

}  // namespace

Screen::Screen() : terminal_(can_redraw(stdout)) {}

void Screen::show(const std::string& text) {
  if (text == shown_) return;
  if (terminal_ && !shown_.empty()) {
    const winsize size = terminal_size();
    const std::size_t lines = lines_shown(shown_, size.ws_col);
    if (lines >= size.ws_row) {
      std::printf("\033[H\033[2J");  // scrolled out of reach: start at the top of a clear screen
    } else if (lines > 0) {
      std::printf("\033[%zuA\r\033[J", lines);
    }
  } else if (!shown_.empty()) {
    std::printf("\n");
  }
  std::printf("%s", text.c_str());
  std::fflush(stdout);
  shown_ = text;
}

Status show_or_watch(bool watch, const std::function<Result<std::string>()>& text) {
  Screen screen;
  while (true) {
    OUTCROP_TRY(now, text());
    screen.show(now);
    if (!watch) return {};
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace outcrop::cli
