#include "trainer_host/trainer/quantize/storage/module_copy.hpp"

#include <torch/csrc/jit/ir/ir.h>

#include <vector>

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using torch::jit::Node;

// A read of `made`'s own attribute: of the type that it has there, and one step further where its tensor is inside now.
void fix_read(Node* read, const Module& original, const Module& made) {
  const std::string& name = read->s(torch::jit::attr::name);
  const auto type = made.type()->getAttribute(name);
  if (!type->is_module()) return;
  auto* output = read->output();
  output->setType(type);
  if (original.type()->getAttribute(name)->is_module()) return;
  Node* values = read->owningGraph()->create(torch::jit::prim::GetAttr, {output});
  values->s_(torch::jit::attr::name, "values");
  values->output()->setType(c10::TensorType::get());
  values->insertAfter(read);
  output->replaceAllUsesAfterNodeWith(values, values->output());
}

void fix_reads(torch::jit::Block* block, const Module& original, const Module& made) {
  for (auto next = block->nodes().begin(); next != block->nodes().end();) {
    Node* node = *next++;
    for (torch::jit::Block* inner : node->blocks()) fix_reads(inner, original, made);
    if (node->inputs().empty() || node->input(0)->type() != made.type()) continue;
    if (node->kind() == torch::jit::prim::GetAttr) fix_read(node, original, made);
    if (node->kind() == torch::jit::prim::SetAttr) {
      const std::string& name = node->s(torch::jit::attr::name);
      TORCH_CHECK(made.type()->getAttribute(name) == original.type()->getAttribute(name), "it changes '", name,
                  "' of its own");
    }
  }
}

void copy_method(const torch::jit::Method& method, const Module& original, Module& made) {
  auto graph = method.graph()->copy();
  const auto retyped = [&](const c10::TypePtr& type) -> c10::TypePtr {
    return type == original.type() ? c10::TypePtr(made.type()) : type;
  };
  graph->remapTypes(retyped);
  fix_reads(graph->block(), original, made);
  auto* copy = made._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*made.type()->name(), method.name()), graph);
  made.type()->addMethod(copy);
  const auto& schema = method.function().getSchema();
  std::vector<c10::Argument> arguments;
  for (const auto& argument : schema.arguments()) {
    arguments.push_back(argument.cloneWithType(retyped(argument.type())));
  }
  copy->setSchema(schema.cloneWithArguments(std::move(arguments)));
}

}  // namespace

Module with_modules(const Module& original, const std::map<std::string, Module>& modules) {
  const auto& type = original.type();
  for (const auto& [name, module] : modules) {
    TORCH_CHECK(type->hasAttribute(name) && (type->getAttribute(name)->is_module() || original.attr(name).isTensor()),
                "it has no layer or tensor '", name, "'");
  }
  Module made(*type->name(), std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  for (std::size_t i = 0; i < type->numAttributes(); ++i) {
    const std::string& name = type->getAttributeName(i);
    if (const auto other = modules.find(name); other != modules.end()) {
      made.register_module(name, other->second);
    } else {
      made.register_attribute(name, type->getAttribute(i), original.attr(name), type->is_parameter(i),
                              type->is_buffer(i));
    }
  }
  for (std::size_t i = 0; i < type->numConstants(); ++i) {
    made.type()->addConstant(type->getConstantName(i), type->getConstant(i));
  }
  for (const auto& method : original.get_methods()) copy_method(method, original, made);
  return made;
}

}  // namespace outcrop::quantize
