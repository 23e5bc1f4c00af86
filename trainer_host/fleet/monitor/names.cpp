#include <array>

#include "trainer_host/fleet/monitor/history.hpp"

namespace outcrop::fleet::monitor {
namespace {

struct MeasureWords {
  std::string_view name;
  std::string_view unit;
};

constexpr std::array<MeasureWords, measure_count> measures{{{"served_ms", "ms"},
                                                            {"measured_p50_ms", "ms"},
                                                            {"measured_p90_ms", "ms"},
                                                            {"load_ms", "ms"},
                                                            {"first_ms", "ms"},
                                                            {"peak_memory", "bytes"},
                                                            {"golden_error", "of its output"},
                                                            {"temperature", "°C"},
                                                            {"frequency", "share"},
                                                            {"free_memory", "bytes"},
                                                            {"free_disk", "bytes"},
                                                            {"uptime", "s"},
                                                            {"disk_written", "bytes"},
                                                            {"disk_worn", "share"}}};
constexpr std::array<std::string_view, throttling_count> causes{
    "under-voltage", "frequency-capped", "throttled", "soft-temperature-limit"};
constexpr std::array<std::string_view, 3> resolutions{"raw", "hour", "day"};

}  // namespace

std::string_view to_string(Measure measure) {
  return measures[static_cast<std::size_t>(measure)].name;
}

std::string_view unit_of(Measure measure) {
  return measures[static_cast<std::size_t>(measure)].unit;
}

std::optional<Measure> measure_from(std::string_view text) {
  for (std::size_t i = 0; i < measures.size(); ++i) {
    if (measures[i].name == text) return static_cast<Measure>(i);
  }
  return std::nullopt;
}

std::string_view to_string(Throttling cause) {
  return causes[static_cast<std::size_t>(cause)];
}

std::string_view to_string(Resolution resolution) {
  return resolutions[static_cast<std::size_t>(resolution)];
}

std::optional<Resolution> resolution_from(std::string_view text) {
  for (std::size_t i = 0; i < resolutions.size(); ++i) {
    if (resolutions[i] == text) return static_cast<Resolution>(i);
  }
  return std::nullopt;
}

}  // namespace outcrop::fleet::monitor
