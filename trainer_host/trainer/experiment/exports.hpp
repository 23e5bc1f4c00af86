#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "trainer_host/trainer/experiment/experiment_config.hpp"

namespace outcrop::experiment {

// Formats of other runtimes in which steps may leave their models: "tflite", "onnx", "keras", "safetensors".
[[nodiscard]] const std::vector<std::string>& export_formats();

// The files that a step leaves, by `step.exports`: ptq_quantized_model (of int8-qint8), dynamic_range_quantized_model (of
// int8-dynamic, .tflite alone) and qat_quantized_model (of int8-qat) as .tflite and .onnx; what trains on elsewhere, floats, as
// baseline_model or qat_model, .keras and .safetensors.
[[nodiscard]] std::vector<std::string> exported_names(const Step& step);

// Writes them into `folder`. `stem` is that of the stage's files ("…/stage3/digits_stage3"), `weights` what they were made of.
// Answers which could not be made, and why.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> export_step(const Step& step, const std::filesystem::path& stem,
                                                                           const std::filesystem::path& weights,
                                                                           const std::filesystem::path& folder);

}  // namespace outcrop::experiment
