#pragma once

#include <filesystem>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/contender.hpp"

namespace outcrop::analyze {

// What folders of results say of forms of a model: of outcrop analyze (metrics.json), of outcrop quantize or a
// stage (quantization.json, and times where quantization_performance.csv lies there or above), or of a run, all
// stages in their order. Float forms that are the same file in several are listed once; names that are not of
// one form alone have their result behind them. not_found where a folder holds none of these; invalid_data names
// file and key.
[[nodiscard]] Result<std::vector<Contender>> read_results(const std::vector<std::filesystem::path>& folders);

}  // namespace outcrop::analyze
