#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/sweep/trials.hpp"

namespace outcrop::sweep {

// Parallel coordinates: an axis for each key and the last one for the goal, a line for each trial that has a value, coloured by
// that, the best one drawn last and thick. Errors of evaluate::draw(); not_found where no trial has a value.
[[nodiscard]] Status draw_sweep(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more,
                                const std::filesystem::path& png);

}  // namespace outcrop::sweep
