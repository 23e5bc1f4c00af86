#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/clock.hpp"

namespace outcrop::cli {

// Values as tables show them.

// The text under a key; empty where there is none, or null.
[[nodiscard]] std::string text_at(const nlohmann::json& object, const char* key);

// The first 12 digits of a digest, enough to tell releases apart and to name them by; "–" for none.
[[nodiscard]] std::string short_digest(std::string_view hex);

// "3 s", "5 min", "2 h", "4 d" from a time as our documents write it until now; the text itself
// where it is none.
[[nodiscard]] std::string since(std::string_view rfc3339, Timestamp now);

// "3 s ago", "5 min ago", "2 h ago", "4 d ago" from a time as our documents write it; the text
// itself where it is none.
[[nodiscard]] std::string age(std::string_view rfc3339, Timestamp now);

// At most `columns` characters, the last of them "…" where something was cut off.
[[nodiscard]] std::string shortened(const std::string& text, std::size_t columns);

// Two or three significant digits: "180", "4.52", "0.013"; no exponent from 0.001 to a million.
[[nodiscard]] std::string short_number(double value);

// Of a ratio of 1.051: "+5.1 %"; what stands for `none` where it is null.
[[nodiscard]] std::string in_percent(const nlohmann::json& ratio, const char* none);

}  // namespace outcrop::cli
