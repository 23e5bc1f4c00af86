#include "platform/console/table.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "platform/console/columns.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/without_controls.hpp"

namespace outcrop {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t narrowest_fold = 8;

bool looks_numeric(const std::string& cell) {
  if (cell.empty() || cell.rfind("–", 0) == 0) return true;
  const auto first = static_cast<unsigned char>(cell[0]);
  return std::isdigit(first) != 0 || cell[0] == '-' || cell[0] == '+';
}

}  // namespace

// Which columns are shown, and how wide.
struct Table::Shape {
  std::vector<std::size_t> columns;
  std::vector<std::size_t> widths;  // by column of the table, shown or not
  std::vector<std::string> left_out;

  [[nodiscard]] std::size_t width() const {
    std::size_t sum = columns.empty() ? 0 : gap * (columns.size() - 1);
    for (const std::size_t c : columns) sum += widths[c];
    return sum;
  }
};

Table::Table(std::vector<std::string> headings) {
  rows_.push_back(std::move(headings));
}

void Table::less_needed(std::vector<std::string> headings) {
  less_needed_ = std::move(headings);
}

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(rows_.front().size());
  for (std::string& cell : cells) cell = without_controls(std::move(cell));
  rows_.push_back(std::move(cells));
}

Table::Shape Table::shape_for(std::size_t width) const {
  Shape shape;
  for (std::size_t c = 0; c < rows_.front().size(); ++c) {
    shape.columns.push_back(c);
    shape.widths.push_back(0);
    for (const auto& row : rows_) shape.widths[c] = std::max(shape.widths[c], columns_of(row[c]));
  }
  if (width == 0) return shape;
  const auto& headings = rows_.front();
  for (const std::string& heading : less_needed_) {
    if (shape.width() <= width) return shape;
    const auto found = std::find_if(shape.columns.begin(), shape.columns.end(),
                                    [&](std::size_t c) { return headings[c] == heading; });
    if (found == shape.columns.end()) continue;
    shape.columns.erase(found);
    shape.left_out.push_back(heading);
  }
  while (shape.width() > width && !shape.columns.empty()) {
    std::size_t& widest = shape.widths[*std::max_element(
        shape.columns.begin(), shape.columns.end(),
        [&](std::size_t a, std::size_t b) { return shape.widths[a] < shape.widths[b]; })];
    if (widest <= narrowest_fold) break;
    const std::size_t others = shape.width() - widest;
    widest = std::max(width > others ? width - others : 0, narrowest_fold);
  }
  return shape;
}

std::string Table::to_string(std::size_t width) const {
  const Shape shape = shape_for(width);
  std::vector<bool> numeric(rows_.front().size(), rows_.size() > 1);
  for (std::size_t r = 1; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < numeric.size(); ++c) {
      if (!looks_numeric(rows_[r][c])) numeric[c] = false;
    }
  }
  std::string text;
  // A row takes as many lines as its most folded cell.
  const auto add_row = [&](const std::vector<std::string>& row) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 1;
    for (const std::size_t c : shape.columns) {
      cells.push_back(folded(row[c], shape.widths[c]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t i = 0; i < lines; ++i) {
      std::string line;
      for (std::size_t k = 0; k < cells.size(); ++k) {
        const std::size_t c = shape.columns[k];
        const std::string part = i < cells[k].size() ? cells[k][i] : "";
        const std::string padding(shape.widths[c] - columns_of(part), ' ');
        if (k > 0) line += std::string(gap, ' ');
        line += numeric[c] ? padding + part : part + padding;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
  };
  add_row(rows_.front());
  for (std::size_t k = 0; k < shape.columns.size(); ++k) {
    if (k > 0) text += std::string(gap, ' ');
    for (std::size_t i = 0; i < shape.widths[shape.columns[k]]; ++i) text += "─";
  }
  text += "\n";
  std::for_each(rows_.begin() + 1, rows_.end(), add_row);
  if (!shape.left_out.empty()) {
    text += wrapped("(left out, for want of room: " + join(shape.left_out) + ")", width);
  }
  return text;
}

}  // namespace outcrop
