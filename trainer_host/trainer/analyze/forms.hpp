#pragma once

#include <torch/torch.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/runner/runner.hpp"
#include "trainer_host/trainer/analyze/analysis.hpp"
#include "trainer_host/trainer/analyze/analyzed_model.hpp"

namespace outcrop::analyze {

// A file as boards would get it.
struct FormFile {
  std::string name;
  std::string role;  // as Form::role
  std::filesystem::path file;
};

// The forms that are measured beside each other: the original, the fastest float that is known of (the
// optimized one beside it, or made of a TorchScript file), the quantized one. What has to be made is
// written into `folder`, under names that begin with ".form-".
[[nodiscard]] Result<std::vector<FormFile>> form_files(const AnalyzedModel& original,
                                                       const std::filesystem::path& original_file,
                                                       const AnalyzedModel& quantized,
                                                       const std::filesystem::path& quantized_file,
                                                       const std::string& variant,
                                                       const std::filesystem::path& folder);

struct FormOptions {
  bool measure = true;
  runtime::RunnerOptions runner;
  std::size_t calls = 100;
  std::chrono::milliseconds time{5000};
  std::function<void(std::size_t done, std::size_t total, const std::string& next)> progress;
};

// Sizes, and, in confined runners that take turns, times and memory of one call with `row`. What could not be
// measured says why.
[[nodiscard]] Result<std::vector<Form>> measure_forms(const std::vector<FormFile>& files,
                                                      const std::string& method,
                                                      const std::vector<torch::Tensor>& row,
                                                      const FormOptions& options);

}  // namespace outcrop::analyze
