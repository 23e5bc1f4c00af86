#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::experiment {

// Runs this very program with other arguments, in a process of its own: what crashes there takes nothing else with it. What
// it says on either stream goes to standard error here, and into `log`, which is replaced. It is told to stop where a stop
// signal comes (data::StopSignal, which must live) or this process ends. Fails with what the program said last, or by which
// signal it ended; with `interrupted` after a stop signal.
[[nodiscard]] Status run_own_program(const std::vector<std::string>& arguments, const std::filesystem::path& log);

// Of a training to weights alone.
[[nodiscard]] std::vector<std::string> training_arguments(const std::filesystem::path& config, const std::filesystem::path& out,
                                                          std::int64_t stages, const std::vector<std::string>& settings);

}  // namespace outcrop::experiment
