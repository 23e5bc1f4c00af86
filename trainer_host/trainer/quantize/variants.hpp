#pragma once

#include <torch/script.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {

// How far one output of a variant is from the float model's at the golden latents, in the
// output's own unit: the worst latent's errors (what the runner's proof measures as well) and
// the mean of errors and SSIM over the latents.
struct OutputError {
  double mean_abs_error = 0.0;  // of the worst latent
  double max_abs_error = 0.0;
  double average_abs_error = 0.0;  // over all latents: "MAE against float"
  double ssim = 1.0;               // mean over all latents
};

// What share of a file's generator is int8, 0 to 1. Counting modules alone flatters.
struct Coverage {
  double modules = 0.0;        // of all parts: layers, noise, prior, denormalizations
  double parameters = 0.0;     // of all values stored; biases stay float
  double multiply_adds = 0.0;  // of one sample, noise to pressure
};

struct FloatPart {
  std::string name;
  std::string reason;
};

// One file that a board may choose.
struct VariantFile {
  std::string name;  // "float", "float-mobile", "int8-quint8", "int8-qint8"
  std::filesystem::path file;
  std::string engine = "torch";
  std::string backend = "qnnpack";
  ByteCount size;
  Coverage coverage;
  std::vector<FloatPart> float_parts;  // all that is not int8, by name
  OutputError velocity;                // m/s
  OutputError seismic;                 // pressure
};

struct ExportedStage {
  std::vector<VariantFile> variants;    // float first
  std::filesystem::path encoder;        // float TorchScript, stays on the host
  std::filesystem::path golden_input;   // safetensors: "latent" [3, latent]
  std::filesystem::path golden_output;  // safetensors: "velocity" [3,1,70,70], "seismic" [3,...]
};

// The latents that a release is proved with: two samples of the prior (forward's seeds 1 and 2),
// which is what a board generates, and the first training latent, which is what the decoders
// were trained on.
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
