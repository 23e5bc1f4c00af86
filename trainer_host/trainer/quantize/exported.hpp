#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"

namespace outcrop::quantize {

// How far one output of a variant is from the float model's at the golden latents, in the
// output's own unit.
struct OutputError {
  double mean_abs_error = 0.0;     // of the worst latent: what the runner's proof measures too
  double max_abs_error = 0.0;      // likewise
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

}  // namespace outcrop::quantize
