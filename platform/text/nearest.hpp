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

}  // namespace outcrop::platform
