#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::platform {

// A table as text: a line of headings, then lines of as many cells each, between commas. No quotes:
// no cell of ours holds a comma.
struct CsvTable {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;  // row 0 stands in line 2

  // Where a column stands; nothing where there is none of that name.
  [[nodiscard]] std::optional<std::size_t> column(std::string_view heading) const;
};

// invalid_data names the line that has more or fewer cells than there are headings.
[[nodiscard]] Result<CsvTable> parse_csv(std::string_view text);

}  // namespace outcrop::platform
