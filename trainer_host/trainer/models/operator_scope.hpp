#pragma once

#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

namespace outcrop::models {

// Of TorchScript source that may call any operator by its name, which LibTorch's own does not know.
[[nodiscard]] std::shared_ptr<torch::jit::Resolver> operator_scope();

// As module.define(source), of source that may call any operator by its name: "ops.quantized.linear_dynamic(…)".
void define_with_operators(torch::jit::Module& module, const std::string& source);

// Calls an operator by its name, "quantized::linear_prepack", with all of its arguments. Throws c10::Error.
[[nodiscard]] c10::IValue call_operator(const char* name, std::vector<c10::IValue> arguments);

}  // namespace outcrop::models
