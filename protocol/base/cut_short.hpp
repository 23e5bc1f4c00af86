#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outcrop {

// At most `bytes` bytes (more than 3) of a text for people. Where something is left out, "..." says
// so, behind a whole word where one ends nearby, never inside a character.
[[nodiscard]] std::string cut_short(std::string_view text, std::size_t bytes);

}  // namespace outcrop
