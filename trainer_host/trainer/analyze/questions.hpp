#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/analyzed_model.hpp"

namespace outcrop::analyze {

// What both models are asked: a method, and its tensors for some rows at a time.
struct Questions {
  AnalyzedModel::Method method;
  std::string from;                                // "golden inputs", or the folder
  std::vector<std::vector<torch::Tensor>> batches;  // at least one, of at least one row
  std::vector<torch::Tensor> targets;              // of each batch; empty where the data have none
  [[nodiscard]] std::size_t rows() const;
};

inline constexpr const char* golden_inputs_file = "golden_input.safetensors";

// The method of that name, or, without, the first that takes tensors alone. invalid_argument where there is none.
[[nodiscard]] Result<AnalyzedModel::Method> chosen_method(const AnalyzedModel& model, const std::string& wanted);

// Rows of a folder (docs/modules.md), for `method`, or forward where that is "". Errors of open_rows();
// invalid_argument where the model has no such method.
[[nodiscard]] Result<Questions> read_data(const AnalyzedModel& model, const std::filesystem::path& folder,
                                          const std::string& method);

// The golden inputs that a quantization left beside its files: for the first method whose tensors are all
// there, or `method`. not_found names both places that were looked in.
[[nodiscard]] Result<Questions> read_goldens(const AnalyzedModel& model,
                                             const std::vector<std::filesystem::path>& folders,
                                             const std::string& method);

}  // namespace outcrop::analyze
