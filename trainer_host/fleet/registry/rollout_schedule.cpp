#include "trainer_host/fleet/registry/rollout_schedule.hpp"

#include <algorithm>
#include <cstdio>

#include "protocol/base/number.hpp"

namespace outcrop::fleet {
namespace {

using std::chrono::minutes;

constexpr std::size_t most_windows = 24;

// "22:05"
std::optional<minutes> time_of_day(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = read_number<unsigned>(text.substr(0, 2));
  const auto minute = read_number<unsigned>(text.substr(3));
  if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  return minutes(*hour * 60 + *minute);
}

std::string to_text(minutes time) {
  char text[32];
  std::snprintf(text, sizeof text, "%02d:%02d", static_cast<int>(time.count() / 60), static_cast<int>(time.count() % 60));
  return text;
}

}  // namespace

bool RolloutSchedule::open(Timestamp now) const {
  if (starts && now < *starts) return false;
  const auto time = std::chrono::floor<minutes>(now - std::chrono::floor<std::chrono::days>(now));
  return windows.empty() || std::any_of(windows.begin(), windows.end(), [&](const Window& window) {
           if (window.from < window.to) return time >= window.from && time < window.to;
           return time >= window.from || time < window.to;
         });
}

Result<std::vector<RolloutSchedule::Window>> windows_from(std::string_view text) {
  std::vector<RolloutSchedule::Window> windows;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const auto from = time_of_day(one.substr(0, std::min<std::size_t>(5, one.size())));
    const auto to = one.size() == 11 && one[5] == '-' ? time_of_day(one.substr(6)) : std::nullopt;
    if (!from || !to || *from == *to) {
      return fail(ErrorCode::invalid_argument, "'" + std::string(one) +
                                                   "' is no window of a day; write it as 22:00-04:00 (UTC), several "
                                                   "with commas between them");
    }
    windows.push_back({*from, *to});
  }
  if (windows.size() > most_windows) return fail(ErrorCode::invalid_argument, "a day has at most 24 windows");
  return windows;
}

std::string to_string(const std::vector<RolloutSchedule::Window>& windows) {
  std::string text;
  for (const RolloutSchedule::Window& window : windows) {
    text += (text.empty() ? "" : ",") + to_text(window.from) + "-" + to_text(window.to);
  }
  return text;
}

std::string waits_for(const RolloutSchedule& schedule, Timestamp now) {
  if (schedule.starts && now < *schedule.starts) return "starts at " + to_rfc3339(*schedule.starts);
  return "goes on between " + to_string(schedule.windows) + " (UTC)";
}

}  // namespace outcrop::fleet
