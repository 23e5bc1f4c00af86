#pragma once

#include <torch/torch.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::models {

// Files of the trainer on the host. Both kinds begin with a line that says what they are, so that
// neither is ever taken for the other by its name:
//
//   outcrop weights 1\n        or   outcrop checkpoint 1\n
//   one line of JSON           payload_bytes, sha256 (of the rest of this line and the payload),
//                              and what the kind keeps there
//   payload                    named tensors, a safetensors file
//
// Of any size: tensors are written from where they lie, and read from the mapped file.
enum class ModelFileKind { weights, checkpoint };

[[nodiscard]] std::string_view to_string(ModelFileKind kind);

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct ModelFile {
  ModelFileKind kind = ModelFileKind::weights;
  std::string about;     // JSON object, as text: this header names no JSON library
  NamedTensors tensors;  // float or int64; of a file that was read: to be copied, not changed
};

// Crash-safe: the old file or the new one, never half of one.
[[nodiscard]] Status write_model_file(const std::filesystem::path& path, const ModelFile& file);
// invalid_data where the file is of neither kind, cut short or damaged, and says which. Its digest is
// checked before anything is taken from it.
[[nodiscard]] Result<ModelFile> read_model_file(const std::filesystem::path& path);

// What weights and checkpoints say of their model, besides what else they keep.
struct ModelDescription {
  std::string name;
  std::string kind;   // kinds/kind.hpp
  std::string shape;  // JSON object that the kind understands
  std::int64_t stage = 0;
  std::int64_t epoch = 0;
  std::chrono::duration<double> trained{0};  // wall-clock time of all epochs so far
  std::string data_digest;                   // SHA-256 in hex of the training data
};

// A JSON object as text, for `about`.
[[nodiscard]] std::string to_json(const ModelDescription& description);
// Passes over other keys. invalid_data where it describes no model.
[[nodiscard]] Result<ModelDescription> description_in(const std::string& about);

// The kind that a file says it is of, before its digest is known to be right: good for nothing but to
// choose how carefully it is opened. Errors are those of reading it.
[[nodiscard]] Result<std::string> kind_named_in(const std::filesystem::path& path);

// Copies values into `targets`. invalid_data names a tensor that is missing or has another shape;
// tensors that the targets do not name are left alone.
[[nodiscard]] Status restore(const NamedTensors& targets, const NamedTensors& values);

}  // namespace outcrop::models
