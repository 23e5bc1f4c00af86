#include "trainer_host/trainer/quantize/storage/with_stored.hpp"

#include <torch/csrc/jit/ir/ir.h>

#include <cmath>

#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "trainer_host/trainer/models/operator_scope.hpp"
#include "trainer_host/trainer/quantize/storage/expansion_source.hpp"
#include "trainer_host/trainer/quantize/storage/module_copy.hpp"
#include "trainer_host/trainer/quantize/storage/stored_holder.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

void check_parameter(const Module& layer, const std::string& name, const StoredTensor& tensor) {
  TORCH_CHECK(layer.hasattr(name) && layer.attr(name).isTensor(), "it has no parameter '", name, "'");
  const auto sizes = layer.attr(name).toTensor().sizes();
  TORCH_CHECK(sizes == tensor.values.sizes(), "'", name, "' is ", sizes, ", what is kept of it ", tensor.values.sizes());
}

bool is_linear(const Module& layer) {
  for (const torch::jit::Node* node : layer.get_method("forward").graph()->nodes()) {
    const std::string kind = node->kind().toQualString();
    if (kind != "aten::linear" && kind != "prim::GetAttr" && kind != "prim::Constant") return false;
  }
  return true;
}

}  // namespace

Module with_stored(const Module& layer, const std::map<std::string, StoredTensor>& by_parameter) {
  std::map<std::string, Module> holders;
  for (const auto& [name, tensor] : by_parameter) {
    check_parameter(layer, name, tensor);
    holders.emplace(name, values_holder(tensor));
  }
  return with_modules(layer, holders);
}

Module with_stored_as_int8_dynamic(const Module& layer, const StoredTensor& weight) {
  TORCH_CHECK(is_linear(layer), "it is not a linear layer alone, and only those run with weights in int8");
  check_parameter(layer, "weight", weight);
  const bool has_bias = layer.hasattr("bias") && layer.attr("bias").isTensor();
  const c10::IValue bias = has_bias ? layer.attr("bias").toTensor().detach() : c10::IValue();
  Module made(*layer.type()->name(), std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  made.register_attribute("training", c10::BoolType::get(), false);
  made.register_module("weight", packed_holder(weight, bias));
  made.define("def forward(self, x):\n    return ops.quantized.linear_dynamic(x, self.weight.packed, False)\n",
              models::operator_scope());
  return made;
}

Module with_stored_as_int4(const Module& layer, const StoredTensor& weight) {
  TORCH_CHECK(is_linear(layer), "it is not a linear layer alone, and only those run with weights in 4 bits");
  check_parameter(layer, "weight", weight);
  TORCH_CHECK(weight.form == "int4" && weight.parts.size() == 1 && weight.numbers.at(2) % 2 == 0,
              "its codes are not groups of 4 bits, of an even number of columns in the weight's own order");
  runtime::register_int4_operator();
  const bool has_bias = layer.hasattr("bias") && layer.attr("bias").isTensor();
  Module made(*layer.type()->name(), std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  made.register_attribute("training", c10::BoolType::get(), false);
  made.register_buffer("groups", weight.parts.front());
  made.register_attribute("columns", c10::IntType::get(), weight.numbers.at(1));
  made.register_attribute("group", c10::IntType::get(), weight.numbers.at(2));
  made.register_attribute("unit", c10::FloatType::get(), std::ldexp(1.0, static_cast<int>(weight.numbers.at(3))));
  if (has_bias) made.register_buffer("bias", layer.attr("bias").toTensor().detach());
  made.define("def forward(self, x):\n    return ops.outcrop.linear_int4(x, self.groups, self.columns, self.group, self.unit)" +
                  std::string(has_bias ? " + self.bias\n" : "\n"),
              models::operator_scope());
  return made;
}

void drop_codes_at_load(Module& whole) {
  for (Module module : whole.modules()) {
    if (module.hasattr("keeps_codes")) module.setattr("keeps_codes", false);
  }
}

}  // namespace outcrop::quantize
