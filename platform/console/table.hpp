#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace outcrop {

// A plain-text table for people: columns as wide as their widest cell, numbers to the right
// (a column is numeric when every cell below its heading starts with a digit, sign or "–").
class Table {
 public:
  explicit Table(std::vector<std::string> headings);

  // Columns that a narrow terminal does without, the least needed first.
  void less_needed(std::vector<std::string> headings);

  // As many cells as there are headings; missing ones are shown empty. What others wrote may stand in them: control characters,
  // which give a terminal orders, are shown as '?'.
  void add_row(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }

  // In lines of at most `width` columns, where that is possible: first the less needed columns are
  // left out, and a line below names them, then the widest columns are folded. 0: as wide as it is.
  [[nodiscard]] std::string to_string(std::size_t width = 0) const;

 private:
  struct Shape;
  [[nodiscard]] Shape shape_for(std::size_t width) const;

  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> less_needed_;
};

}  // namespace outcrop
