#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace outcrop {

// JSON as text; in one line, or indented by `indent` spaces a level. Bytes that are not UTF-8 (a
// path may hold any) become U+FFFD: JSON has no word for them, and no work is thrown away for a
// name. Every text of ours is made by this; dump() throws.
[[nodiscard]] std::string json_text(const nlohmann::json& json, int indent = -1);
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace outcrop
