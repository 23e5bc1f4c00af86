#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/log_histogram.hpp"
#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// How a board fares (SCHEMA.md, "Telemetry"): said at the interval of the host's latest Watch, in an
// envelope signed by the board's key; parse the verified payload only.

inline constexpr ByteCount telemetry_limit = ByteCount::kib(32);
inline constexpr int disk_wear_since = 6;  // the protocol whose telemetry tells it
inline constexpr std::string_view telemetry_kind = "telemetry";  // of its envelope
inline constexpr std::chrono::seconds shortest_interval{10};
inline constexpr std::chrono::seconds longest_interval{86'400};

// What the firmware of a Raspberry Pi holds a processor back for; bit i of `now` and `since_start`.
inline constexpr std::array<std::string_view, 4> throttling_causes{
    "under-voltage", "frequency-capped", "throttled", "soft-temperature-limit"};
struct ThrottlingBits {
  std::uint32_t now = 0;
  std::uint32_t since_start = 0;  // of the board
  bool operator==(const ThrottlingBits&) const = default;
};

struct Telemetry {
  DeviceHeader header;
  std::chrono::seconds interval{60};  // what `served` is of
  std::uint64_t skipped = 0;          // samples that were let go, while nobody could be told, since the last one
  std::string device_class;
  std::optional<trust::Sha256Digest> active_manifest;
  std::string active_variant;
  struct Served {
    std::uint64_t calls = 0;  // errors among them
    std::uint64_t errors = 0;
    LogHistogram latency_ms;  // of those that did not fail
    bool operator==(const Served&) const = default;
  } served;
  // None: no sensor says.
  std::optional<double> temperature;  // °C, the hottest
  std::optional<double> frequency;    // of the slowest core, as a share of what it can do
  std::optional<ThrottlingBits> throttled;
  std::optional<ByteCount> free_memory;
  std::optional<ByteCount> free_disk;  // where releases are kept
  std::optional<ByteCount> disk_written;  // to that file system, since it was made
  std::optional<double> disk_worn;        // share of the flash's rated life that is used; 1.1: more than that
  std::optional<std::chrono::seconds> uptime;
  std::uint64_t runner_restarts = 0;  // a runner that served crashed or hung, since the agent's start
  bool operator==(const Telemetry&) const = default;
};

[[nodiscard]] std::string to_json(const Telemetry& telemetry);
[[nodiscard]] Result<Telemetry> parse_telemetry(BytesView verified);

}  // namespace outcrop::messages
