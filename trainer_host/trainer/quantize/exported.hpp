#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/messages/artifact.hpp"

namespace outcrop::quantize {

// How far one output of a variant is from the float model's in the golden calls, in the output's
// own unit.
struct OutputError {
  double mean_abs_error = 0.0;     // of the worst call: what the runner's proof measures too
  double max_abs_error = 0.0;      // likewise
  double average_abs_error = 0.0;  // over all calls: "MAE against float"
  double ssim = 1.0;               // mean over all calls
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
  std::filesystem::path golden_input;   // safetensors: "latent" [1, latent]
  std::filesystem::path golden_output;  // safetensors: "velocity_1", "seismic_1", … of each call
  messages::Signature signature;        // of every variant
  std::vector<messages::GoldenCall> golden_calls;
  std::map<std::string, messages::OutputBounds> bounds;  // of its outputs
};

}  // namespace outcrop::quantize
