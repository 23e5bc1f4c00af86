#pragma once

#include <filesystem>
#include <string>

#include "agent/doctor/clock.hpp"
#include "agent/doctor/finding.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::agent {

// The status that an agent that runs tells at its socket, as text.
[[nodiscard]] Result<std::string> ask_status(const std::filesystem::path& socket);

// What it says of itself: it may see less of this machine than its doctor does, under the restrictions of its unit. unknown where
// none answered.
[[nodiscard]] Finding check_running(const Result<std::string>& status, const ClockReading& clock);

}  // namespace outcrop::agent
