#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::quantize {

// What a user names to be quantized: weights of a stage, a checkpoint, or TorchScript of theirs.
struct NamedModel {
  std::filesystem::path file;
  std::vector<std::filesystem::path> calibration;
  std::vector<std::filesystem::path> held_out;
  std::filesystem::path weights;  // beside TorchScript: a state_dict or safetensors; or empty
  std::string loss;               // what TorchScript is judged by; or empty
};

struct OpenedModel {
  std::unique_ptr<kinds::Task> task;
  std::string name;   // "curvefault"
  std::int64_t stage = 0;
  std::string stem;   // of its files: "curvefault_stage2"
  bool other_data = false;  // not what the weights were trained on, or in another order
};

// Told apart by looking inside. not_found, io.
[[nodiscard]] Result<bool> is_torch_script(const std::filesystem::path& file);

// Before open_named(): where others made it, or any of them, gives up all but these files
// (kinds/foreign_code.hpp).
[[nodiscard]] Status enclose_named(const std::vector<NamedModel>& models, const kinds::Register& kinds,
                                   std::vector<std::filesystem::path> read, std::vector<std::filesystem::path> write,
                                   bool allow_reduced);

// invalid_argument where something is said that such a file does not take; the errors of its kind.
[[nodiscard]] Result<OpenedModel> open_named(const NamedModel& model, const kinds::Register& kinds);

}  // namespace outcrop::quantize
