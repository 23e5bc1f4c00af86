#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/golden_call.hpp"
#include "protocol/messages/signature.hpp"
#include "trainer_host/trainer/kinds/float_part.hpp"
#include "trainer_host/trainer/quantize/corrections/correction_step.hpp"
#include "trainer_host/trainer/quantize/mixed/report.hpp"

namespace outcrop::quantize {

// How far one output of a variant is from the float model's in the golden calls, in the output's
// own unit.
struct OutputError {
  double mean_abs_error = 0.0;     // of the worst call: what the runner's proof measures too
  double max_abs_error = 0.0;      // likewise
  double average_abs_error = 0.0;  // over all calls: "MAE against float"
  double likeness = 1.0;           // mean over all calls; 1 where equal
  double signal = 0.0;             // Σx² of the float model's values over all calls
  double noise = 0.0;              // Σ(x - y)²

  // 10·log10(signal / noise), at most 150.
  [[nodiscard]] double sqnr_db() const;
};

// What share of a file's model is int8, 0 to 1. Counting modules alone flatters.
struct Coverage {
  double modules = 0.0;        // of all parts: layers, and what the kind adds to them
  double parameters = 0.0;     // of all values stored; biases stay float
  double multiply_adds = 0.0;  // of one sample, from the method's arguments to its outputs
};

// One file that a board may choose.
struct VariantFile {
  std::string name;  // "float", "float-mobile", "int8-quint8", "int8-qint8"
  std::filesystem::path file;
  std::filesystem::path plan;  // TOML: what became of each layer
  std::string engine = "torch";
  std::string backend = "qnnpack";
  ByteCount size;
  Coverage coverage;
  std::vector<kinds::FloatPart> stays_float;   // all that is not int8, by name
  std::vector<CorrectionStep> corrections{};   // what was tried before, and what it brought
  std::vector<kinds::FloatPart> degenerate{};  // tensors whose range says nothing, and why
  std::vector<kinds::FloatPart> remarks{};     // what whoever asked for it should know: of a layer, or of the file
  std::map<std::string, OutputError> outputs;  // by name
  std::optional<MixedReport> mixed{};          // how int8 or float was chosen by layer
};

struct ExportedStage {
  std::vector<VariantFile> variants;              // float first
  bool made_by_others = false;
  std::vector<std::pair<std::string, std::string>> left_out;  // variants that could not be made, and why
  std::vector<std::filesystem::path> host_files;  // float TorchScript, stays on the host
  std::filesystem::path golden_input;             // safetensors: "latent_3" of call 3
  std::filesystem::path golden_output;            // safetensors: "map_1", … of each call
  messages::Signature signature;                  // of every variant
  std::vector<messages::GoldenCall> golden_calls;
  std::map<std::string, messages::OutputBounds> bounds;  // of its outputs
  std::map<std::string, std::string> about;
  std::string likeness_name;  // "SSIM"; empty where the kind has none
};

}  // namespace outcrop::quantize
