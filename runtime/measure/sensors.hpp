#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "protocol/base/bytes.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::runtime {

// What the kernel's files say of a machine now, in plain numbers. Nothing where they do not say it, or say what
// cannot be (a sensor that is not connected).

struct Temperature {
  double celsius = 0;
  std::string where;  // the zone's type: "cpu-thermal"
};
// Of the hottest zone.
[[nodiscard]] std::optional<Temperature> read_temperature(const MachineFiles& files);

// The core that runs slowest now, as a share of what it can do: 1 where it is at its best.
[[nodiscard]] std::optional<double> read_frequency_share(const MachineFiles& files);

struct Memory {
  ByteCount total;
  ByteCount available;  // without pushing anything out to a disk
};
[[nodiscard]] std::optional<Memory> read_memory(const MachineFiles& files);

// Since the machine's start.
[[nodiscard]] std::optional<std::chrono::seconds> read_uptime(const MachineFiles& files);

}  // namespace outcrop::runtime
