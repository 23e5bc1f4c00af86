#include "platform/console/table.hpp"

#include <algorithm>
#include <cctype>

namespace outcrop {
namespace {

std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

bool looks_numeric(const std::string& cell) {
  if (cell.empty() || cell.rfind("–", 0) == 0) return true;
  const auto first = static_cast<unsigned char>(cell[0]);
  return std::isdigit(first) != 0 || cell[0] == '-' || cell[0] == '+';
}

}  // namespace

Table::Table(std::vector<std::string> headings) {
  rows_.push_back(std::move(headings));
}

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(rows_.front().size());
  rows_.push_back(std::move(cells));
}

std::string Table::to_string() const {
  const std::size_t columns = rows_.front().size();
  std::vector<std::size_t> widths(columns, 0);
  std::vector<bool> numeric(columns, rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      widths[c] = std::max(widths[c], columns_of(rows_[r][c]));
      if (r > 0 && !looks_numeric(rows_[r][c])) numeric[c] = false;
    }
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string padding(widths[c] - columns_of(row[c]), ' ');
      if (c > 0) line += "  ";
      line += numeric[c] ? padding + row[c] : row[c] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line(rows_.front());
  for (std::size_t c = 0; c < columns; ++c) {
    if (c > 0) text += "  ";
    for (std::size_t i = 0; i < widths[c]; ++i) text += "─";
  }
  text += "\n";
  std::for_each(rows_.begin() + 1, rows_.end(), add_line);
  return text;
}

}  // namespace outcrop
