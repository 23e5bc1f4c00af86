#pragma once

#include <cstdint>
#include <optional>

#include "runtime/measure/machine_files.hpp"

namespace outcrop::runtime {

// What a Raspberry Pi's firmware says of its processor: bits 0 to 3 under-voltage, frequency
// capped, throttled, soft temperature limit, all of them now; bits 16 to 19 the same since boot
// (raspberrypi.com, "vcgencmd get_throttled"). Nothing on other machines, and on kernels that do
// not pass the firmware's word on.
[[nodiscard]] std::optional<std::uint32_t> read_throttled(const MachineFiles& files);

inline constexpr std::uint32_t throttled_now = 0xf;

}  // namespace outcrop::runtime
