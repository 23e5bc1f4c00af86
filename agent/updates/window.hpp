#pragma once

#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::agent {

// A minute of a week, 0 at the beginning of Monday; of the board's local time.
using MinuteOfWeek = std::size_t;
inline constexpr std::size_t minutes_of_week = 7 * 24 * 60;
[[nodiscard]] MinuteOfWeek local_minute(std::chrono::sys_seconds time);

// When a board takes updates: "02:00-05:00", or several with days, "mon-fri 22:00-06:00, sat 00:00-24:00".
// One that ends before it begins goes over midnight, and its days are those on which it begins.
class UpdateWindow {
 public:
  // Errors: invalid_argument, saying what would be right.
  [[nodiscard]] static Result<UpdateWindow> parse(std::string_view text);

  [[nodiscard]] bool open(MinuteOfWeek minute) const { return minutes_.test(minute); }
  // From a minute in which it is closed.
  [[nodiscard]] std::chrono::minutes opens_in(MinuteOfWeek minute) const;
  [[nodiscard]] const std::string& words() const { return words_; }

 private:
  Status add(std::string_view one);

  std::bitset<minutes_of_week> minutes_;
  std::string words_;
};

}  // namespace outcrop::agent
