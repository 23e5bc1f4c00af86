#include "trainer_host/trainer/models/operator_scope.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/frontend/sugared_value.h>

#include <utility>

namespace outcrop::models {
namespace {

using torch::jit::GraphFunction;
using torch::jit::SourceRange;
using torch::jit::SugaredValue;

// `ops`: its attributes are the spaces of operators.
struct OperatorSpaces final : SugaredValue {
  [[nodiscard]] std::string kind() const override { return "operators"; }
  std::shared_ptr<SugaredValue> attr(const SourceRange&, GraphFunction&, const std::string& space) override {
    return std::make_shared<torch::jit::BuiltinModule>(space);
  }
};

struct OperatorScope final : torch::jit::Resolver {
  std::shared_ptr<SugaredValue> resolveValue(const std::string& name, GraphFunction& function,
                                             const SourceRange& place) override {
    if (name == "ops") return std::make_shared<OperatorSpaces>();
    return torch::jit::nativeResolver()->resolveValue(name, function, place);
  }
  c10::TypePtr resolveType(const std::string& name, const SourceRange& place) override {
    return torch::jit::nativeResolver()->resolveType(name, place);
  }
};

}  // namespace

std::shared_ptr<torch::jit::Resolver> operator_scope() {
  return std::make_shared<OperatorScope>();
}

void define_with_operators(torch::jit::Module& module, const std::string& source) {
  module.define(source, operator_scope());
}

c10::IValue call_operator(const char* name, std::vector<c10::IValue> arguments) {
  torch::jit::Stack stack = std::move(arguments);
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(&stack);
  return stack.at(0);
}

}  // namespace outcrop::models
