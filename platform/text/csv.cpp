#include "platform/text/csv.hpp"

#include <algorithm>

namespace outcrop::platform {
namespace {

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  for (;;) {
    const std::size_t comma = line.find(',');
    cells.emplace_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

// The next line, without its end; takes both away from `text`.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

std::optional<std::size_t> CsvTable::column(std::string_view heading) const {
  const auto found = std::find(headings.begin(), headings.end(), heading);
  if (found == headings.end()) return std::nullopt;
  return static_cast<std::size_t>(found - headings.begin());
}

Result<CsvTable> parse_csv(std::string_view text) {
  CsvTable table;
  table.headings = cells_of(take_line(text));
  for (std::size_t number = 2; !text.empty(); ++number) {
    auto cells = cells_of(take_line(text));
    if (cells.size() != table.headings.size()) {
      return fail(ErrorCode::invalid_data, "line " + std::to_string(number) + ": " +
                                               std::to_string(cells.size()) + " cells instead of " +
                                               std::to_string(table.headings.size()));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace outcrop::platform
