#pragma once

#include <string>
#include <string_view>

namespace outcrop {

// Whether a control character begins at `at`, and of how many bytes: 0 where none does. C1's too, which
// UTF-8 writes in two (U+0080 to U+009F): U+009B is what ESC [ is.
[[nodiscard]] inline std::size_t control_at(std::string_view text, std::size_t at) {
  const auto code = static_cast<unsigned char>(text[at]);
  if (code < 0x20 || code == 0x7f) return 1;
  if (code != 0xc2 || at + 1 == text.size()) return 0;
  const auto next = static_cast<unsigned char>(text[at + 1]);
  return next >= 0x80 && next <= 0x9f ? 2 : 0;
}

// Text of others for a terminal, which takes orders: control characters become '?', but for those in
// `kept`.
[[nodiscard]] inline std::string without_controls(std::string text, std::string_view kept = {}) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t bytes = control_at(text, i);
    if (bytes == 0 || kept.find(text[i]) != std::string_view::npos) continue;
    text.replace(i, bytes, "?");
  }
  return text;
}

// The same as escapes, "\n" and "\u009b", so that a reader sees what was there and no line can be another than it is.
[[nodiscard]] inline std::string controls_escaped(std::string_view text, std::string_view kept = {}) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t bytes = control_at(text, i);
    if (bytes == 0 || kept.find(text[i]) != std::string_view::npos) {
      escaped += text[i];
      continue;
    }
    if (text[i] == '\n') {
      escaped += "\\n";
      continue;
    }
    i += bytes - 1;  // of U+0080 to U+009F the second byte is the number
    const auto code = static_cast<unsigned char>(text[i]);
    escaped += "\\u00";
    escaped += digits[code >> 4U];
    escaped += digits[code & 15U];
  }
  return escaped;
}

}  // namespace outcrop
