#include "platform/config/toml_nesting.hpp"

#include <algorithm>

namespace outcrop::platform {
namespace {

// Behind the string that begins at `at`; the end of the text, or of the line, for one that never ends.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const bool escapes = quote == '"';
  const bool lines = text.substr(at, 3) == std::string_view(escapes ? "\"\"\"" : "'''");
  const std::string_view closing = text.substr(at, lines ? 3 : 1);
  for (at += closing.size(); at < text.size(); ++at) {
    if (text[at] == '\n' && !lines) return at;
    if (escapes && text[at] == '\\') {
      ++at;
    } else if (text.substr(at, closing.size()) == closing) {
      return at + closing.size();
    }
  }
  return text.size();
}

}  // namespace

std::optional<std::size_t> line_nested_too_deeply(std::string_view text, std::size_t deepest) {
  std::size_t line = 1;
  std::size_t dots = 0;  // of the key, or number, that is read
  std::size_t open = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    std::size_t next = at + 1;
    if (c == '"' || c == '\'') {
      next = std::min(end_of_string(text, at), text.size());
      line += static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at), text.begin() + static_cast<std::ptrdiff_t>(next), '\n'));
    } else if (c == '#') {
      next = std::min(text.find('\n', at), text.size());
    } else if (c == '.') {
      if (++dots >= deepest) return line;
    } else if (c == '[' || c == '{') {
      if (++open > deepest) return line;
    } else if ((c == ']' || c == '}') && open > 0) {
      --open;
    }
    if (std::string_view("[]{}=,\n").find(c) != std::string_view::npos) dots = 0;
    if (c == '\n') ++line;
    at = next;
  }
  return std::nullopt;
}

}  // namespace outcrop::platform
