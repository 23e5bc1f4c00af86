#pragma once

#include <torch/csrc/jit/mobile/module.h>
#include <torch/script.h>

#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::analyze {

// A model file of anybody's, opened in this process: a TorchScript file (.pt), or one for the lite
// interpreter (.ptl), which is then run by that, as on boards. Loading is running code: only in a jail
// (kinds/foreign_code.hpp).
class AnalyzedModel {
 public:
  // What a method takes and gives.
  struct Method {
    std::string name;
    std::vector<std::string> tensors;  // arguments that are tensors; the others have defaults
    std::string text;                  // "forward(Tensor images) -> Tensor"
  };

  // not_found; invalid_data where it is neither.
  [[nodiscard]] static Result<AnalyzedModel> load(const std::filesystem::path& file);

  [[nodiscard]] const std::string& name() const { return name_; }  // of its file
  [[nodiscard]] bool is_lite() const { return std::holds_alternative<torch::jit::mobile::Module>(module_); }
  // Those that take tensors, and nothing else without a default; forward first.
  [[nodiscard]] const std::vector<Method>& methods() const { return methods_; }
  [[nodiscard]] const Method* method(const std::string& name) const;
  // Of all of its parameters and buffers, by path: "first.weight".
  [[nodiscard]] const std::map<std::string, torch::Tensor>& tensors() const { return tensors_; }

  // The tensors that it answers. invalid_data, with its own words, where it raises.
  [[nodiscard]] Result<std::vector<torch::Tensor>> call(const std::string& method,
                                                        const std::vector<torch::Tensor>& inputs);

  // As a file for boards: of a TorchScript file made now, as it is or as LibTorch makes it faster
  // (optimizeForMobile); only where it is not lite. Throws c10::Error.
  [[nodiscard]] std::string for_boards(bool optimized) const;

 private:
  using Module = std::variant<torch::jit::Module, torch::jit::mobile::Module>;
  AnalyzedModel(std::string name, Module module);

  std::string name_;
  Module module_;
  std::vector<Method> methods_;
  std::map<std::string, torch::Tensor> tensors_;
};

}  // namespace outcrop::analyze
