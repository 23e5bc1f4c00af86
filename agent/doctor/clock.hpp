#pragma once

#include <ctime>
#include <optional>

#include "agent/doctor/finding.hpp"
#include "protocol/base/clock.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

struct ClockReading {
  Timestamp now;
  bool synchronised = false;
  std::size_t time_bits = 8 * sizeof(std::time_t);
};

[[nodiscard]] ClockReading read_clock();

// `signed_at`: the newest time that verified metadata carries; the clock cannot be before it. Who
// keeps the clock right is told by what he leaves below /run.
[[nodiscard]] Finding check_clock(const runtime::MachineFiles& files, const ClockReading& clock,
                                  std::optional<Timestamp> signed_at);

}  // namespace outcrop::agent
