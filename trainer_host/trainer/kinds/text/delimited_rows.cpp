#include "trainer_host/trainer/kinds/text/delimited_rows.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace outcrop::text {
namespace {

std::string in_line(std::size_t line) {
  return "line " + std::to_string(line) + ": ";
}

// What stands between quotes, each of which is there twice; nothing where one is not.
std::optional<std::string> without_quotes(std::string_view cell) {
  if (cell.size() < 2 || cell.front() != '"' || cell.back() != '"') return std::nullopt;
  cell = cell.substr(1, cell.size() - 2);
  std::string inner;
  for (std::size_t i = 0; i < cell.size(); ++i) {
    if (cell[i] == '"' && (i + 1 == cell.size() || cell[++i] != '"')) return std::nullopt;
    inner += cell[i];
  }
  return inner;
}

std::vector<std::string> between_tabs(std::string_view line) {
  std::vector<std::string> cells;
  for (bool more = true; more;) {
    const std::size_t end = line.find('\t');
    more = end != std::string_view::npos;
    const std::string_view cell = line.substr(0, end);
    cells.push_back(without_quotes(cell).value_or(std::string(cell)));
    if (more) line.remove_prefix(end + 1);
  }
  return cells;
}

// The end of the cell that begins at `at`, past its closing quote; nothing where there is none.
std::optional<std::size_t> end_of_quoted(std::string_view text, std::size_t at) {
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] != '"') continue;
    if (i + 1 == text.size() || text[i + 1] != '"') return i + 1;
    ++i;
  }
  return std::nullopt;
}

// Reads one row from `text`, which loses it, and counts lines.
Result<std::vector<std::string>> take_row(std::string_view& text, std::size_t& line) {
  std::vector<std::string> cells;
  for (std::size_t at = 0;;) {
    const std::size_t begin = at;
    if (at < text.size() && text[at] == '"') {
      const auto end = end_of_quoted(text, at);
      if (!end) return fail(ErrorCode::invalid_data, in_line(line) + "a quote begins a cell and nothing closes it");
      at = *end;
      cells.push_back(without_quotes(text.substr(begin, at - begin)).value_or(""));
      line += static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                                  text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    } else {
      at = std::min(text.find_first_of(",\n", at), text.size());
      std::string_view cell = text.substr(begin, at - begin);
      const bool last = at == text.size() || text[at] == '\n';
      if (last && cell.ends_with('\r')) cell.remove_suffix(1);
      cells.emplace_back(cell);
    }
    if (at < text.size() && text[at] == '\r') ++at;
    if (at >= text.size() || text[at] == '\n') {
      text.remove_prefix(std::min(at + 1, text.size()));
      ++line;
      return cells;
    }
    if (text[at] != ',') {
      return fail(ErrorCode::invalid_data, in_line(line) + "a cell goes on behind its closing quote; a quote inside of one "
                                                           "is written twice");
    }
    ++at;
  }
}

Result<std::vector<std::string>> take_line(std::string_view& text, std::size_t& line) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view row = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  ++line;
  if (row.ends_with('\r')) row.remove_suffix(1);
  return between_tabs(row);
}

}  // namespace

Result<std::vector<DelimitedRow>> read_delimited(std::string_view text, Delimiter delimiter) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<DelimitedRow> rows;
  for (std::size_t line = 1; !text.empty();) {
    const std::size_t begins = line;
    OUTCROP_TRY(cells, delimiter == Delimiter::tab ? take_line(text, line) : take_row(text, line));
    if (cells.size() == 1 && cells.front().empty()) continue;
    if (!rows.empty() && cells.size() != rows.front().cells.size()) {
      return fail(ErrorCode::invalid_data,
                  in_line(begins) + "it has " + std::to_string(cells.size()) + (cells.size() == 1 ? " cell" : " cells") +
                      ", and the headings are " + std::to_string(rows.front().cells.size()) +
                      (delimiter == Delimiter::tab ? "; a text between tabs has neither tabs nor line ends in it"
                                                   : "; a text with commas or line ends stands between quotes"));
    }
    rows.push_back({begins, std::move(cells)});
  }
  return rows;
}

}  // namespace outcrop::text
