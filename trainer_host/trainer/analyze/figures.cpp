#include "trainer_host/trainer/analyze/figures.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include "protocol/base/bytes.hpp"

namespace outcrop::analyze {
namespace {

std::string printed(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

}  // namespace

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  // No "-0.00".
  const double least = 0.5 * std::pow(10.0, -decimals);
  std::snprintf(text.data(), text.size(), "%.*f", decimals, std::abs(value) < least ? 0.0 : value);
  return text.data();
}

std::string significant(double value) {
  return printed("%.3g", value);
}

std::string percent(double share) {
  if (share < 1.0 && share > 0.9995) return "> 99.9 %";
  if (share > 0.0 && share < 0.0005) return "< 0.1 %";
  return fixed(100.0 * share, 1) + " %";
}

std::string bytes_text(std::uint64_t bytes) {
  return bytes == 0 ? nothing : ByteCount(bytes).human();
}

std::string milliseconds(const std::optional<double>& value) {
  if (!value) return nothing;
  return (*value < 100.0 ? printed("%.3g", *value) : printed("%.0f", *value)) + " ms";
}

std::string interval_text(const Interval& interval, int decimals) {
  if (interval.low == interval.high) return fixed(interval.value, decimals);
  return fixed(interval.value, decimals) + " [" + fixed(interval.low, decimals) + ", " +
         fixed(interval.high, decimals) + "]";
}

}  // namespace outcrop::analyze
