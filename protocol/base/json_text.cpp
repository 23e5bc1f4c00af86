#include "protocol/base/json_text.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/without_controls.hpp"

namespace outcrop {

namespace {

// What the library leaves as it is of the characters that give terminals orders: DEL, and those that UTF-8 writes as C2 80 to C2 9F.
// They stand in texts alone, where an escape is the same.
std::string with_escapes(std::string text) {
  const auto is_one = [&](std::size_t at) { return text[at] == '\x7f' || (text[at] == '\xc2' && control_at(text, at) == 2); };
  std::size_t at = 0;
  while (at < text.size() && !is_one(at)) ++at;
  if (at == text.size()) return text;
  std::string escaped = text.substr(0, at);
  for (; at < text.size(); ++at) {
    if (!is_one(at)) {
      escaped += text[at];
      continue;
    }
    const std::size_t bytes = control_at(text, at);
    escaped += controls_escaped(std::string_view(text).substr(at, bytes));
    at += bytes - 1;
  }
  return escaped;
}

}  // namespace

std::string json_text_to_hash(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_text(const nlohmann::json& json, int indent) {
  return with_escapes(json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string json_text(const nlohmann::ordered_json& json, int indent) {
  return with_escapes(json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

bool nested_too_deeply(std::string_view text, std::size_t deepest) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > deepest) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace outcrop
