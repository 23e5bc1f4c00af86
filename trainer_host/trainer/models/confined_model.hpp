#pragma once

#include <filesystem>

#include "runtime/runner/runner.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::models {

// An exported model that may be anybody's: loaded and called in a confined runner of its own, never
// in this process.
class ConfinedModel final : public CallableModel {
 public:
  // On every processor that this process may use. Errors are those of the runner: unsupported where
  // this machine cannot confine one as `options` demand, invalid_data where the file is no model of
  // its engine, not_found.
  [[nodiscard]] static Result<ConfinedModel> load(const std::filesystem::path& file,
                                                  const runtime::RunnerOptions& options);

  [[nodiscard]] Result<std::vector<torch::Tensor>> call(
      const std::string& method, std::vector<c10::IValue> arguments) override;

 private:
  ConfinedModel(runtime::Runner runner, std::string name)
      : runner_(std::move(runner)), name_(std::move(name)) {}

  runtime::Runner runner_;
  std::string name_;  // of its file
};

}  // namespace outcrop::models
