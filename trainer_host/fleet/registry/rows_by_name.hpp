#pragma once

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace outcrop::fleet {

// Rows that are kept in the order of a name while some of them are read again. `name_of(row)` is it.

// The one that has it; none.
template <class Row, class Name>
Row* find(std::vector<Row>& rows, const std::string& name, Name name_of) {
  const auto found = std::lower_bound(rows.begin(), rows.end(), name,
                                      [&](const Row& row, const std::string& wanted) { return name_of(row) < wanted; });
  return found != rows.end() && name_of(*found) == name ? &*found : nullptr;
}

// Takes what was read for what is there, or is there no more. What is new waits in `added` for merge(): each row of its
// own would move all behind it.
template <class Row, class Name>
void put(std::vector<Row>& rows, std::vector<Row>& added, const std::string& name, std::optional<Row> now, Name name_of) {
  Row* const before = find(rows, name, name_of);
  if (before == nullptr) {
    if (now) added.push_back(std::move(*now));
  } else if (now) {
    *before = std::move(*now);
  } else {
    rows.erase(rows.begin() + (before - rows.data()));
  }
}

// Puts `added`, which were read in the order of their names, among the others.
template <class Row, class Name>
void merge(std::vector<Row>& rows, std::vector<Row> added, Name name_of) {
  if (added.empty()) return;
  const auto before = static_cast<std::ptrdiff_t>(rows.size());
  rows.insert(rows.end(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
  std::inplace_merge(rows.begin(), rows.begin() + before, rows.end(),
                     [&](const Row& one, const Row& other) { return name_of(one) < name_of(other); });
}

}  // namespace outcrop::fleet
