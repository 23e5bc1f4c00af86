#include "protocol/base/bytes.hpp"

#include <array>
#include <cstdio>

namespace outcrop {

Bytes to_bytes(std::string_view text) {
  const BytesView view = as_bytes(text);
  return {view.begin(), view.end()};
}

std::string ByteCount::human() const {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes_);
  std::size_t unit = 0;
  while (amount >= 1000.0 && unit + 1 < units.size()) {
    amount /= 1000.0;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.2f %s", amount, units[unit]);
  return text.data();
}

}  // namespace outcrop
