#pragma once

#include <filesystem>

#include "agent/doctor/finding.hpp"

namespace outcrop::agent {

// The files that this board lives by: whether they lie where they should, can be written, and were
// found damaged by the agent, which then set them aside.
[[nodiscard]] Finding check_state(const std::filesystem::path& folder);

}  // namespace outcrop::agent
