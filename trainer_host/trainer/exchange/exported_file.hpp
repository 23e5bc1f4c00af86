#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/model_example.hpp"
#include "trainer_host/trainer/exchange/tflite/tflite_file.hpp"

namespace outcrop::exchange {

enum class Format { tflite, onnx, keras, safetensors };
[[nodiscard]] std::string_view to_string(Format format);  // also a file's extension

struct ExportWishes {
  Format format = Format::tflite;
  WantedCall call;       // of all but safetensors
  TfliteOptions tflite;
};

// What was written, for people and for export.json.
struct ExportedFile {
  std::filesystem::path file;
  std::string json;  // an object: inputs, outputs, operators, and how many; of safetensors the number of tensors
  std::string text;  // some lines
};

// Writes <folder>/<stem>.<format>, crash-safe, and an entry for it in <folder>/export.json; `source` is what the entry names.
// What cannot be expressed is unsupported by its operator, before anything is written.
[[nodiscard]] Result<ExportedFile> export_module(const torch::jit::Module& module, const std::filesystem::path& source,
                                                 const ExportWishes& wishes, const std::filesystem::path& folder,
                                                 const std::string& stem);
// The same of a file of weights or a checkpoint, to safetensors alone.
[[nodiscard]] Result<ExportedFile> export_weights(const std::filesystem::path& source, const std::filesystem::path& folder,
                                                  const std::string& stem);

// TorchScript from a file, ready to be exported: this runs what others wrote. invalid_data where it is none, unsupported
// where it is in training mode.
[[nodiscard]] Result<torch::jit::Module> load_torch_script(const std::filesystem::path& file);

}  // namespace outcrop::exchange
