#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::text {

// A line of a table, the one with the headings, too.
struct DelimitedRow {
  std::size_t line = 1;  // where it begins
  std::vector<std::string> cells;
};

// Commas (RFC 4180): a cell between quotes may hold commas, line ends, and quotes, each twice.
// Tabs: a line is a row, and quotes are text, but where a spreadsheet put them around a whole cell.
enum class Delimiter { comma, tab };

// Lines may end as Windows ends them; empty ones are passed over. invalid_data names the line: a quote that is not closed, or
// is followed by something else than the cell's end; more or fewer cells than the first row has.
[[nodiscard]] Result<std::vector<DelimitedRow>> read_delimited(std::string_view text, Delimiter delimiter);

}  // namespace outcrop::text
