#include "agent/updates/window.hpp"

#include <array>
#include <ctime>

#include "protocol/base/number.hpp"

namespace outcrop::agent {
namespace {

constexpr std::size_t minutes_of_hour = 60, minutes_of_day = 24 * 60, days = 7;
constexpr std::array<std::string_view, days> names{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The two parts of "a-b".
std::optional<std::pair<std::string_view, std::string_view>> halves(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, dash), text.substr(dash + 1));
}

// "02:00", up to "24:00".
std::optional<std::size_t> minute_of_day(std::string_view text) {
  constexpr std::size_t length = 5, colon = 2;
  if (text.size() != length || text[colon] != ':') return std::nullopt;
  const auto hour = read_number<unsigned>(text.substr(0, colon));
  const auto minute = read_number<unsigned>(text.substr(colon + 1));
  if (!hour || !minute || *minute >= minutes_of_hour) return std::nullopt;
  const std::size_t all = *hour * minutes_of_hour + *minute;
  return all <= minutes_of_day ? std::optional(all) : std::nullopt;
}

struct Hours {
  std::size_t from;
  std::size_t length;
};

// "22:00-06:00"
std::optional<Hours> hours_of(std::string_view text) {
  const auto times = halves(text);
  if (!times) return std::nullopt;
  const auto from = minute_of_day(times->first);
  const auto to = minute_of_day(times->second);
  if (!from || !to || *from == *to || *from == minutes_of_day) return std::nullopt;
  return Hours{*from, *to > *from ? *to - *from : minutes_of_day - *from + *to};
}

std::optional<std::size_t> day(std::string_view text) {
  for (std::size_t i = 0; i < days; ++i) {
    if (names[i] == text) return i;
  }
  return std::nullopt;
}

// "sat", "mon-fri", "sat-mon"; all of them where nothing is said.
std::optional<std::bitset<days>> days_of(std::string_view text) {
  std::bitset<days> chosen;
  if (text.empty()) return chosen.set();
  const auto [first, last] = halves(text).value_or(std::pair(text, text));
  const auto from = day(first), to = day(last);
  if (!from || !to) return std::nullopt;
  for (std::size_t i = *from;; i = (i + 1) % days) {
    chosen.set(i);
    if (i == *to) return chosen;
  }
}

}  // namespace

MinuteOfWeek local_minute(std::chrono::sys_seconds time) {
  constexpr int sunday_of_tm = 0;
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  const std::size_t weekday = local.tm_wday == sunday_of_tm ? days - 1 : static_cast<std::size_t>(local.tm_wday) - 1;
  return weekday * minutes_of_day + static_cast<std::size_t>(local.tm_hour) * minutes_of_hour + static_cast<std::size_t>(local.tm_min);
}

Status UpdateWindow::add(std::string_view one) {
  const std::size_t blank = one.rfind(' ');
  const auto chosen = days_of(blank == std::string_view::npos ? std::string_view() : trimmed(one.substr(0, blank)));
  const auto hours = hours_of(blank == std::string_view::npos ? one : one.substr(blank + 1));
  if (!chosen || !hours) {
    return fail(ErrorCode::invalid_argument, "'" + std::string(one) + "' is no window; it must be like \"02:00-05:00\" or "
                                                 "\"mon-fri 22:00-06:00, sat 00:00-24:00\"");
  }
  for (std::size_t weekday = 0; weekday < days; ++weekday) {
    if (!chosen->test(weekday)) continue;
    const std::size_t begin = weekday * minutes_of_day + hours->from;
    for (std::size_t i = 0; i < hours->length; ++i) minutes_.set((begin + i) % minutes_of_week);
  }
  return {};
}

Result<UpdateWindow> UpdateWindow::parse(std::string_view text) {
  UpdateWindow window;
  window.words_ = text;
  while (true) {
    const std::size_t comma = text.find(',');
    OUTCROP_CHECK(window.add(trimmed(text.substr(0, comma))));
    if (comma == std::string_view::npos) return window;
    text.remove_prefix(comma + 1);
  }
}

std::chrono::minutes UpdateWindow::opens_in(MinuteOfWeek minute) const {
  std::size_t waited = 0;
  while (waited < minutes_of_week && !minutes_.test((minute + waited) % minutes_of_week)) ++waited;
  return std::chrono::minutes(waited);
}

}  // namespace outcrop::agent
