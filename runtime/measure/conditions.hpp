#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/measure/frequency.hpp"

namespace outcrop::runtime {

// What the machine was doing, read at one moment. What cannot be read is absent: unknown, and
// it voids nothing.
struct MachineState {
  std::chrono::steady_clock::time_point when;
  std::optional<std::chrono::milliseconds> busy;    // all cores' time not idle, since boot
  std::optional<std::chrono::milliseconds> stolen;  // taken by the hypervisor, since boot
  std::optional<std::uint32_t> throttled;           // Raspberry Pi only: throttling.hpp
  std::optional<std::uint64_t> frequency_ceiling;   // frequency.hpp, kHz
  std::vector<FrequencyTimes> frequency_times;      // frequency.hpp
  unsigned cores = 1;
};

// Reads /proc and /sys below `root` ("/" but for tests).
[[nodiscard]] MachineState read_machine_state(const std::filesystem::path& root = "/");

// Whether figures taken between two states may be trusted.
struct Validity {
  std::vector<std::string> void_because;  // empty: valid
  std::vector<std::string> unknown;       // sensors that this machine does not have
  std::optional<double> other_load;       // cores kept busy by others meanwhile

  [[nodiscard]] bool valid() const { return void_because.empty(); }
};

// `own` is the CPU time that the measured process itself took in between. A run is void when
// others kept busy so much that fewer idle cores than the model's threads were left, when the
// firmware reported throttling or under-voltage, when the frequency ceiling moved, or when the
// processor spent more than a tenth of the time at another frequency than it mostly ran at.
[[nodiscard]] Validity judge(const MachineState& before, const MachineState& after,
                             std::chrono::milliseconds own, int threads);

}  // namespace outcrop::runtime
