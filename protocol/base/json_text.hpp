#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace outcrop {

// JSON as text; in one line, or indented by `indent` spaces a level. Bytes that are not UTF-8 (a
// path may hold any) become U+FFFD: JSON has no word for them, and no work is thrown away for a
// name. Control characters are escapes, U+007F to U+009F too, which JSON would allow and terminals obey.
// Every text of ours is made by this; dump() throws.
[[nodiscard]] std::string json_text(const nlohmann::json& json, int indent = -1);
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json, int indent = -1);
// The same with U+007F to U+009F as they are, in one line: for hashes that are to stay what they were, and nobody's eyes.
[[nodiscard]] std::string json_text_to_hash(const nlohmann::json& json);

// Whether lists and objects stand in each other more than `deepest` times. To be asked before others'
// text is parsed: a parser that is iterative still builds a tree that is as deep as its input, and what
// copies or frees the tree goes down it by recursion.
[[nodiscard]] bool nested_too_deeply(std::string_view text, std::size_t deepest);

}  // namespace outcrop
