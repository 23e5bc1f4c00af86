#pragma once

#include <string>
#include <vector>

namespace outcrop {

// A plain-text table for people: columns as wide as their widest cell, numbers to the right
// (a column is numeric when every cell below its heading starts with a digit, sign or "–").
class Table {
 public:
  explicit Table(std::vector<std::string> headings);

  // As many cells as there are headings; missing ones are shown empty.
  void add_row(std::vector<std::string> cells);

  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace outcrop
