#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/measure/machine_files.hpp"

namespace outcrop::runtime {

// Time that a group of cores spent at each frequency since boot, by kHz. Cores of one group always
// run at the same one; a Raspberry Pi has one group, a PC one for each core.
using FrequencyTimes = std::map<std::uint64_t, std::chrono::milliseconds>;

// The lowest scaling_max_freq of all cores, kHz.
[[nodiscard]] std::optional<std::uint64_t> read_frequency_ceiling(const MachineFiles& files);

// Of each group (time_in_state, "CPUFreq statistics" of the kernel's documentation); empty where
// the kernel does not count or the driver chooses by itself.
[[nodiscard]] std::vector<FrequencyTimes> read_frequency_times(const MachineFiles& files);

struct FrequencySpan {
  std::uint64_t mostly;  // kHz
  double elsewhere;      // share of the time at others, 0 ... 1
};

// Between two readings, of the group with the highest mean frequency: it did the work, the others
// idled. Nothing where they cannot be compared or too little was counted to say.
[[nodiscard]] std::optional<FrequencySpan> frequency_between(
    const std::vector<FrequencyTimes>& before, const std::vector<FrequencyTimes>& after);

}  // namespace outcrop::runtime
