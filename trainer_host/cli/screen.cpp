#include "trainer_host/cli/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

namespace outcrop::cli {
namespace {

constexpr std::chrono::seconds between_looks{2};

std::size_t terminal_rows() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return 24;
  return size.ws_row;
}

}  // namespace

Screen::Screen() : terminal_(::isatty(STDOUT_FILENO) == 1) {}

void Screen::show(const std::string& text) {
  if (text == shown_) return;
  if (terminal_ && !shown_.empty()) {
    const auto lines = static_cast<std::size_t>(std::count(shown_.begin(), shown_.end(), '\n'));
    if (lines >= terminal_rows()) {
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
