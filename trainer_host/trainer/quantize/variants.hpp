#pragma once

#include <torch/script.h>

#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/quantize/exported.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {

// A release is proved with calls of what boards serve, forward(1, seed) for these seeds, and with
// decode of the first training latent, which is what the decoders were trained on.
inline constexpr std::int64_t golden_seeds[] = {1, 2};

// Exports a trained generator (evaluation mode is taken care of; it is not changed) as
// `<model>_stage<N>_<variant>.ptl` for all variants, `<model>_stage<N>_encoder.pt`,
// `golden_input.safetensors` and `golden_output.safetensors` (of the float model) into `folder`,
// which must exist. `calibration_latents` [N, latent]: the encoder's latents of training maps.
// Runs on one thread, so that the same input gives the same bytes. Every int8 file is loaded
// again by the lite interpreter, run, and the operators that really ran are compared with the
// plan: a layer left in float fails the export by name. Files appear whole or not at all.
[[nodiscard]] Result<ExportedStage> export_variants(const models::Generator& generator,
                                                    const models::LatentPrior& prior,
                                                    const torch::Tensor& calibration_latents,
                                                    const std::filesystem::path& folder,
                                                    const std::string& model, int stage,
                                                    RangeSearch range = RangeSearch::squared_error);

}  // namespace outcrop::quantize
