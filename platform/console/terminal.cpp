#include "platform/console/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace outcrop {

bool can_redraw(std::FILE* out) {
  const char* const kind = std::getenv("TERM");
  const char* const plain = std::getenv("NO_COLOR");
  return ::isatty(::fileno(out)) == 1 && kind != nullptr && *kind != '\0' &&
         std::string_view(kind) != "dumb" && (plain == nullptr || *plain == '\0');
}

std::size_t terminal_columns(std::FILE* out) {
  winsize size{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return size.ws_col;
}

}  // namespace outcrop
