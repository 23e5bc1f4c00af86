#pragma once

#include <torch/csrc/jit/mobile/module.h>
#include <torch/script.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::models {

// LibTorch's settings that exported models rest on: engine "qnnpack" (both int8 kernel sets), no
// tensor-expression fuser (it miscomputes torch.round in later versions), and the operators of our own. Throws c10::Error
// where this LibTorch has no such engine.
void prepare_engine();

// An exported model run in this process by LibTorch's lite interpreter, as boards run it.
// Loading is running code: only for files that this host made itself; anything else goes
// through the confined runner.
class LiteModel final : public CallableModel {
 public:
  // Fails with not_found, or invalid_data where the file is no such model or is cut.
  [[nodiscard]] static Result<LiteModel> load(const std::filesystem::path& file);
  [[nodiscard]] static Result<LiteModel> load(const std::string& bytes, const std::string& name);

  [[nodiscard]] Result<std::vector<torch::Tensor>> call(
      const std::string& method, std::vector<c10::IValue> arguments) override;

 private:
  explicit LiteModel(torch::jit::mobile::Module module, std::string name)
      : module_(std::move(module)), name_(std::move(name)) {}

  torch::jit::mobile::Module module_;
  std::string name_;
};

}  // namespace outcrop::models
