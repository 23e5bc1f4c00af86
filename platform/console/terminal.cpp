#include "platform/console/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "protocol/base/number.hpp"

namespace outcrop {

bool can_redraw(std::FILE* out) {
  const char* const kind = std::getenv("TERM");
  const char* const plain = std::getenv("NO_COLOR");
  return ::isatty(::fileno(out)) == 1 && kind != nullptr && *kind != '\0' &&
         std::string_view(kind) != "dumb" && (plain == nullptr || *plain == '\0');
}

std::size_t line_width(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* const variable = std::getenv("COLUMNS");
  return variable == nullptr ? 0 : read_number<std::size_t>(variable).value_or(0);
}

std::size_t terminal_rows(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

}  // namespace outcrop
