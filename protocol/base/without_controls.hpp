#pragma once

#include <string>
#include <string_view>

namespace outcrop {

// Text of others for a terminal, which takes orders: control characters become '?', but for those in
// `kept`.
[[nodiscard]] inline std::string without_controls(std::string text, std::string_view kept = {}) {
  for (char& c : text) {
    const auto code = static_cast<unsigned char>(c);
    const bool controls = code < 0x20 || code == 0x7f;
    if (controls && kept.find(c) == std::string_view::npos) c = '?';
  }
  return text;
}

}  // namespace outcrop
