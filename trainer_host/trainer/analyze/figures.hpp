#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "trainer_host/trainer/analyze/statistics.hpp"

// How figures are written for people, the same in every report.
namespace outcrop::analyze {

inline constexpr const char* nothing = "–";

[[nodiscard]] std::string fixed(double value, int decimals);
[[nodiscard]] std::string significant(double value);                  // three digits: "0.0123"
[[nodiscard]] std::string percent(double share);                      // "99.2 %"; "< 100 %" is never 100
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);            // "1.23 MB"; "–" for 0
[[nodiscard]] std::string milliseconds(const std::optional<double>& value);  // "3.21 ms"
[[nodiscard]] std::string interval_text(const Interval& interval, int decimals);  // "0.912 [0.902, 0.921]"; a point as a number

}  // namespace outcrop::analyze
