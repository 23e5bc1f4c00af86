#include "runtime/measure/throttling.hpp"

#include <limits>

namespace outcrop::runtime {

std::optional<std::uint32_t> read_throttled(const MachineFiles& files) {
  // The file lies with the firmware's node of the device tree, whose parent has another name with
  // each processor: soc/soc:firmware up to the Pi 4, soc@107c000000/soc@107c000000:firmware on the
  // Pi 5.
  for (const char* pattern : {"sys/devices/platform/soc*/*firmware/get_throttled",
                              "sys/devices/platform/*firmware/get_throttled"}) {
    for (const auto& file : files.matching(pattern)) {
      const auto bits = files.number(file, 16);
      if (bits && *bits >= 0 && *bits <= std::numeric_limits<std::uint32_t>::max()) {
        return static_cast<std::uint32_t>(*bits);
      }
    }
  }
  return std::nullopt;
}

}  // namespace outcrop::runtime
