#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace outcrop::platform {

// The line of a TOML text where parts of a dotted key, or lists and inline tables, stand in each other more than `deepest` times.
// To be asked before it is parsed: the tree would be as deep, and whoever builds, merges or frees it goes down by recursion.
[[nodiscard]] std::optional<std::size_t> line_nested_too_deeply(std::string_view text, std::size_t deepest);

}  // namespace outcrop::platform
