#pragma once

#include <string>
#include <string_view>

namespace outcrop {

// A cell of comma-separated values (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it:
// such a text may be the word of a board.
[[nodiscard]] inline std::string csv_cell(std::string_view text) {
  std::string cell(text);
  if (!cell.empty() && std::string_view("=+-@\t\r").find(cell.front()) != std::string_view::npos) cell.insert(0, 1, '\'');
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  for (std::size_t at = 0; (at = cell.find('"', at)) != std::string::npos; at += 2) cell.insert(at, 1, '"');
  return "\"" + cell + "\"";
}

}  // namespace outcrop
