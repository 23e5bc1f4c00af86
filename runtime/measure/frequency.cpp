#include "runtime/measure/frequency.hpp"

#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace outcrop::runtime {
namespace {

// Counted in clock ticks of mostly 10 ms: below this, one of them is too much of the whole.
constexpr std::chrono::milliseconds shortest_count{300};

FrequencyTimes parse(const std::string& text) {
  FrequencyTimes times;
  const auto tick = static_cast<std::uint64_t>(1000 / ::sysconf(_SC_CLK_TCK));
  std::istringstream lines(text);
  std::uint64_t frequency = 0, ticks = 0;
  while (lines >> frequency >> ticks) times[frequency] = std::chrono::milliseconds(ticks * tick);
  return lines.eof() ? times : FrequencyTimes();
}

}  // namespace

std::optional<std::uint64_t> read_frequency_ceiling(const MachineFiles& files) {
  std::optional<std::uint64_t> lowest;
  for (const auto& file : files.matching("sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq")) {
    const auto value = files.number(file);
    if (!value || *value < 0) continue;
    lowest = std::min(lowest.value_or(static_cast<std::uint64_t>(*value)),
                      static_cast<std::uint64_t>(*value));
  }
  return lowest;
}

std::vector<FrequencyTimes> read_frequency_times(const MachineFiles& files) {
  std::vector<FrequencyTimes> groups;
  for (const auto& file :
       files.matching("sys/devices/system/cpu/cpufreq/policy*/stats/time_in_state")) {
    FrequencyTimes times = parse(files.text(file).value_or(""));
    if (times.empty()) return {};  // half of the machine would be taken for all of it
    groups.push_back(std::move(times));
  }
  return groups;
}

std::optional<FrequencySpan> frequency_between(const std::vector<FrequencyTimes>& before,
                                               const std::vector<FrequencyTimes>& after) {
  if (before.size() != after.size()) return std::nullopt;
  std::optional<FrequencySpan> span;
  double highest_mean = 0;
  for (std::size_t group = 0; group < after.size(); ++group) {
    double all = 0, weighted = 0, most = 0;
    std::uint64_t mostly = 0;
    for (const auto& [frequency, time] : after[group]) {
      const auto earlier = before[group].find(frequency);
      if (earlier == before[group].end() || earlier->second > time) return std::nullopt;
      const auto spent = static_cast<double>((time - earlier->second).count());
      all += spent;
      weighted += spent * static_cast<double>(frequency);
      if (spent > most) {
        most = spent;
        mostly = frequency;
      }
    }
    if (all < static_cast<double>(shortest_count.count()) || weighted / all <= highest_mean) {
      continue;
    }
    highest_mean = weighted / all;
    span = FrequencySpan{mostly, 1 - most / all};
  }
  return span;
}

}  // namespace outcrop::runtime
