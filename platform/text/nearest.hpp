#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace outcrop::platform {

// Which of the known words was probably meant by one that is none of them: the nearest by at most
// two wrong letters, the first of equals. Nothing where all are other words.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 std::span<const std::string> known);

// "did you mean static? " of that one, before what else is said; "" where there is none.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace outcrop::platform
