#include "runtime/measure/sensors.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace outcrop::runtime {
namespace {

// Thousandths of a degree; beyond these a sensor is not connected.
constexpr std::int64_t coldest = -50'000;
constexpr std::int64_t hottest = 150'000;

std::optional<ByteCount> meminfo_line(const std::string& meminfo, const std::string& key) {
  std::istringstream lines(meminfo);
  for (std::string text; std::getline(lines, text);) {
    std::istringstream words(text);
    std::string name, unit;
    std::uint64_t kib = 0;
    if (words >> name >> kib >> unit && name == key && unit == "kB" &&
        kib < (std::uint64_t{1} << 50)) {
      return ByteCount::kib(kib);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Temperature> read_temperature(const MachineFiles& files) {
  std::optional<std::int64_t> highest;
  std::string where;
  for (const auto& zone : files.matching("sys/class/thermal/thermal_zone[0-9]*")) {
    const auto value = files.number(zone / "temp");
    if (!value || *value < coldest || *value > hottest || (highest && *value <= *highest)) continue;
    highest = value;
    where = files.text(zone / "type").value_or(zone.filename().string());
  }
  if (!highest) return std::nullopt;
  return Temperature{static_cast<double>(*highest) / 1000, where};
}

std::optional<double> read_frequency_share(const MachineFiles& files) {
  std::optional<double> slowest;
  for (const auto& core : files.matching("sys/devices/system/cpu/cpu[0-9]*/cpufreq")) {
    const auto now = files.number(core / "scaling_cur_freq");
    const auto most = files.number(core / "cpuinfo_max_freq");
    if (!now || !most || *now <= 0 || *most <= 0) continue;
    const double share = std::min(1.0, static_cast<double>(*now) / static_cast<double>(*most));
    slowest = std::min(slowest.value_or(1.0), share);
  }
  return slowest;
}

std::optional<Memory> read_memory(const MachineFiles& files) {
  const std::string meminfo = files.text("proc/meminfo").value_or("");
  const auto total = meminfo_line(meminfo, "MemTotal:");
  const auto available = meminfo_line(meminfo, "MemAvailable:");
  if (!total || !available) return std::nullopt;
  return Memory{*total, *available};
}

// "12345.67 54321.00": seconds since the start, and idle.
std::optional<std::chrono::seconds> read_uptime(const MachineFiles& files) {
  const std::string text = files.text("proc/uptime").value_or("");
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool number = error == std::errc() && end != text.data() + text.size() && *end == '.';
  if (!number || seconds < 0 || seconds > std::int64_t{100} * 366 * 24 * 3600) return std::nullopt;
  return std::chrono::seconds(seconds);
}

}  // namespace outcrop::runtime
