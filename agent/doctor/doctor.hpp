#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "agent/doctor/finding.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::agent {

struct DoctorOptions {
  std::filesystem::path config;
  std::filesystem::path root = "/";          // of /proc, /sys and /run, for tests
  std::chrono::milliseconds patience{5000};  // for each step to the broker
  std::optional<Result<std::string>> status{};  // of the agent that runs, where it was asked already
};

// Looks over a board, from its hardware to its place in the fleet. Changes nothing; takes some
// seconds. What cannot be found out, for want of a file, a right or an earlier step, is unknown and
// keeps no other check from being made: a configuration that is missing or wrong is replaced by the
// defaults.
[[nodiscard]] Findings examine(const DoctorOptions& options);

}  // namespace outcrop::agent
