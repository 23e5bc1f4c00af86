#pragma once

#include <cstddef>
#include <cstdio>

namespace outcrop {

// Whether lines may be redrawn there, with a terminal's escape sequences: it is a terminal, not a
// dumb one (TERM), and its owner has not asked for plain text (NO_COLOR, see no-color.org).
[[nodiscard]] bool can_redraw(std::FILE* out);

// The width of the terminal; 100 where it is not known.
[[nodiscard]] std::size_t terminal_columns(std::FILE* out);

}  // namespace outcrop
