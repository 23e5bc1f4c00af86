#pragma once

#include <cstddef>
#include <cstdio>

namespace outcrop {

// What stands behind a descriptor or a file of C: a terminal, and of what size, or none.

// Whether lines may be redrawn there, with a terminal's escape sequences: it is a terminal, not a
// dumb one (TERM), and its owner has not asked for plain text (NO_COLOR, see no-color.org).
[[nodiscard]] bool can_redraw(std::FILE* out);

// How wide lines may be there: columns of the terminal behind the descriptor; else, where $COLUMNS
// is a number, that; else 0, which means that nothing limits a line (a file, a pipe).
[[nodiscard]] std::size_t line_width(int descriptor);

// Rows of the terminal behind the descriptor; 0 where there is none, or one that does not say.
[[nodiscard]] std::size_t terminal_rows(int descriptor);

}  // namespace outcrop
