#include "trainer_host/trainer/models/training_form.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "trainer_host/trainer/models/fast_transposed_convolution.hpp"

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::jit::Module;
using torch::jit::Node;

Tensor transposed_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias,
                              std::vector<std::int64_t> stride, std::vector<std::int64_t> padding) {
  return fast_transposed_convolution(x, weight, bias, {stride.at(0), stride.at(1)},
                                     {padding.at(0), padding.at(1)});
}

Tensor whole_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  TORCH_CHECK(x.dim() == 4 && x.sizes().slice(1) == weight.sizes().slice(1), "an input ", x.sizes(),
              " is not covered by a kernel ", weight.sizes());
  return torch::linear(x.flatten(1), weight.flatten(1), bias).unsqueeze(-1).unsqueeze(-1);
}

// The first name whose tensor was not finite since the thread's last look.
thread_local std::optional<std::string> first_spoilt;

Tensor watched(const Tensor& x, const std::string& name) {
  if (!first_spoilt && !torch::isfinite(x).all().item<bool>()) first_spoilt = name;
  return x;
}

// The list of integers that a graph holds as a constant, or builds of constants.
std::optional<std::vector<std::int64_t>> integers(const torch::jit::Value* value) {
  if (const auto constant = torch::jit::toIValue(value)) {
    if (constant->isIntList()) return constant->toIntVector();
    return std::nullopt;
  }
  if (value->node()->kind() != torch::jit::prim::ListConstruct) return std::nullopt;
  std::vector<std::int64_t> list;
  for (const auto* element : value->node()->inputs()) {
    const auto constant = torch::jit::toIValue(element);
    if (!constant || !constant->isInt()) return std::nullopt;
    list.push_back(constant->toInt());
  }
  return list;
}

bool has_fast_form(const Node* node) {
  if (node->kind() != torch::jit::aten::conv_transpose2d) return false;
  const auto all = [&](std::size_t input, std::int64_t wanted) {
    const auto list = integers(node->input(input));
    return list && std::all_of(list->begin(), list->end(), [&](auto v) { return v == wanted; });
  };
  const auto groups = torch::jit::toIValue(node->input(6));
  return node->input(2)->type()->isSubtypeOf(*c10::TensorType::get()) && all(5, 0) && groups &&
         groups->toInt() == 1 && all(7, 1);
}

// Of a child that is to be one.
bool is_whole_convolution(const Node* node) {
  if (node->kind() != torch::jit::aten::conv2d) return false;
  const auto padding = integers(node->input(4));
  return padding && std::all_of(padding->begin(), padding->end(), [](auto v) { return v == 0; });
}

template <class Visit>
void visit_nodes(torch::jit::Block* block, const Visit& visit) {
  for (auto node = block->nodes().begin(); node != block->nodes().end();) {
    Node* current = *node++;  // the visitor may replace it
    for (torch::jit::Block* inner : current->blocks()) visit_nodes(inner, visit);
    visit(current);
  }
}

// Puts an operator of ours, of the first `inputs` inputs, in the node's place.
void replace(Node* node, const char* name, std::size_t inputs) {
  Node* replaced = node->owningGraph()->create(c10::Symbol::fromQualString(name),
                                               node->inputs().slice(0, inputs));
  replaced->insertBefore(node);
  replaced->output()->setType(node->output()->type());
  node->output()->replaceAllUsesWith(replaced->output());
  node->destroy();
}

Module with_fast_forms(const Module& network, const std::set<std::string>& whole) {
  Module fast = network.clone(/*inplace=*/true);  // types of its own over the same tensors
  for (const Module& module : fast.modules()) {
    if (!module.find_method("forward")) continue;
    visit_nodes(module.get_method("forward").graph()->block(), [&](Node* node) {
      if (has_fast_form(node)) replace(node, "outcrop::transposed_convolution", 5);
    });
  }
  for (const auto& child : fast.named_children()) {
    if (!whole.contains(child.name)) continue;
    visit_nodes(child.value.get_method("forward").graph()->block(), [&](Node* node) {
      if (is_whole_convolution(node)) replace(node, "outcrop::whole_convolution", 3);
    });
  }
  return fast;
}

// Behind each call of a child.
Module with_watches(const Module& network) {
  Module watching = network.clone(/*inplace=*/true);
  const auto graph = watching.get_method("forward").graph();
  visit_nodes(graph->block(), [&](Node* node) {
    if (node->kind() != torch::jit::prim::CallMethod) return;
    const Node* child = node->input(0)->node();
    if (child->kind() != torch::jit::prim::GetAttr ||
        !node->output()->type()->isSubtypeOf(*c10::TensorType::get())) {
      return;
    }
    const torch::jit::WithInsertPoint at(node->next());
    auto* name = graph->insertConstant(child->s(torch::jit::attr::name));
    Node* watch =
        graph->create(c10::Symbol::fromQualString("outcrop::watched"), {node->output(), name});
    graph->insertNode(watch);
    node->output()->replaceAllUsesAfterNodeWith(watch, watch->output());
  });
  return watching;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(outcrop, library) {
  library.def(
      "transposed_convolution(Tensor x, Tensor weight, Tensor bias, int[] stride, int[] padding) "
      "-> Tensor",
      &transposed_convolution);
  library.def("whole_convolution(Tensor x, Tensor weight, Tensor bias) -> Tensor",
              &whole_convolution);
  library.def("watched(Tensor x, str name) -> Tensor",
              [](const Tensor& x, std::string name) { return watched(x, name); });
}

Tensor OtherForm::forward(const Tensor& x) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  refresh(module);
  return module.forward({x}).toTensor();
}

TrainingForm::TrainingForm(Module network, const std::set<std::string>& whole)
    : module_(std::move(network)),
      fast_(with_fast_forms(module_, whole)),
      watched_(with_watches(fast_)),
      whole_(whole) {}

void TrainingForm::train(bool on) {
  for (Module* form : {&module_, &fast_, &watched_}) form->train(on);
}

Tensor TrainingForm::forward(const Tensor& x) {
  // Fused graphs are compiled for each shape, and differentiated by rules of their own.
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  return other_ ? other_->forward(x) : fast_.forward({x}).toTensor();
}

void TrainingForm::train_through(std::optional<OtherForm> other) {
  other_ = std::move(other);
  if (other_) other_->module = with_fast_forms(other_->module, whole_);
}

std::optional<std::string> TrainingForm::first_non_finite(const Tensor& x, Tensor& output) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  first_spoilt.reset();
  output = watched_.forward({x}).toTensor();
  return std::exchange(first_spoilt, std::nullopt);
}

}  // namespace outcrop::models
