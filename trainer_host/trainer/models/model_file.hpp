#pragma once

#include <torch/torch.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/generator.hpp"

namespace outcrop::models {

// Files of the trainer on the host. Both kinds begin with a line that says what they are, so that
// neither is ever taken for the other by its name:
//
//   outcrop weights 1\n        or   outcrop checkpoint 1\n
//   one line of JSON           payload_bytes, sha256 (of the rest of this line and the payload),
//                              and what the kind keeps there
//   payload                    named tensors, a safetensors file
enum class ModelFileKind { weights, checkpoint };

[[nodiscard]] std::string_view to_string(ModelFileKind kind);

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct ModelFile {
  ModelFileKind kind = ModelFileKind::weights;
  std::string about;     // JSON object, as text: this header names no JSON library
  NamedTensors tensors;  // float or int64
};

// Crash-safe: the old file or the new one, never half of one.
[[nodiscard]] Status write_model_file(const std::filesystem::path& path, const ModelFile& file);
// invalid_data where the file is of neither kind, cut short or damaged, and says which.
[[nodiscard]] Result<ModelFile> read_model_file(const std::filesystem::path& path);

// A generator as it stood at the end of some epoch.
struct TrainedModel {
  std::string name;
  std::int64_t stage = 0;
  std::int64_t epoch = 0;
  std::chrono::duration<double> trained{0};  // wall-clock time of all epochs so far
  std::string data_digest;                   // SHA-256 in hex of the training data
  Generator generator;                       // in evaluation mode
  std::optional<LatentPrior> prior;          // checkpoints have none
};

// Writes pure weights, with the prior where there is one.
[[nodiscard]] Status save_weights(const std::filesystem::path& path, const TrainedModel& model);
// Reads weights, or the weights inside a checkpoint. Errors as of read_model_file.
[[nodiscard]] Result<TrainedModel> load_model(const std::filesystem::path& path);

// Parameters and buffers of the three networks, named "encoder.down1.weight": the tensors
// themselves, not copies.
[[nodiscard]] NamedTensors state_of(const Generator& generator);
// Copies values into the generator's own tensors. invalid_data names a tensor that is missing or
// has another shape; tensors that the generator does not know are left alone.
[[nodiscard]] Status restore_state(const Generator& generator, const NamedTensors& tensors);

// The description of a model inside `about`: {"model", "shape", "stage", "epoch", ...}.
[[nodiscard]] std::string describe_model(const TrainedModel& model);
[[nodiscard]] Result<TrainedModel> model_of(const ModelFile& file);

}  // namespace outcrop::models
