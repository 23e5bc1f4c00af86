#pragma once

#include <span>
#include <string>
#include <string_view>

namespace outcrop {

// "a, b, c".
[[nodiscard]] std::string join(std::span<const std::string> words,
                               std::string_view separator = ", ");

}  // namespace outcrop
