#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace outcrop {

// Text by the columns that it takes on a terminal: characters, not bytes.

[[nodiscard]] std::size_t columns_of(std::string_view text);

// What stands in the first `columns` columns: cut at a character, not inside one.
[[nodiscard]] std::string_view first_columns(std::string_view text, std::size_t columns);

// `text` in lines of at most `width` columns, broken between words where there are any; 0: one line.
[[nodiscard]] std::vector<std::string> folded(const std::string& text, std::size_t width);

// The same as text, every line ended, those after the first moved to the right by `indent`. Lines
// that `text` has already stay lines.
[[nodiscard]] std::string wrapped(const std::string& text, std::size_t width,
                                  std::size_t indent = 2);

}  // namespace outcrop
