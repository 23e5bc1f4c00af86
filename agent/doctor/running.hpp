#pragma once

#include <filesystem>

#include "agent/doctor/clock.hpp"
#include "agent/doctor/finding.hpp"

namespace outcrop::agent {

// What an agent that runs says of itself at its socket: it may see less of this machine than its doctor
// does, under the restrictions of its unit. unknown where none answers.
[[nodiscard]] Finding check_running(const std::filesystem::path& socket, const ClockReading& clock);

}  // namespace outcrop::agent
