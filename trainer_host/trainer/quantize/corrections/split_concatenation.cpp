#include "trainer_host/trainer/quantize/corrections/split_concatenation.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <map>

#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;
using torch::jit::Node;

// What one input of a concatenation brings.
struct Share {
  std::int64_t channels = 0;
  double low = 0.0;
  double high = 0.0;

  [[nodiscard]] double span() const { return high - low; }
};
using Shares = std::map<const Node*, std::vector<Share>>;

// Of each concatenation in forward's own graph; of none where others run beside them.
Shares shares_of(const Module& network, const ArgumentRows& inputs, std::int64_t batch) {
  std::vector<const Node*> nodes;
  for (const Node* node : network.get_method("forward").graph()->nodes()) {
    if (node->kind() == torch::jit::aten::cat) nodes.push_back(node);
  }
  Shares shares;
  if (nodes.empty()) return shares;
  for (std::int64_t row = 0; row < inputs.size(); row += batch) {
    OperatorCounter counter({"aten::cat"});
    Module(network).forward(inputs.slice(row, row + batch).values());
    if (counter.calls().size() != nodes.size()) return {};
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto tensors = counter.calls()[i].inputs[0].toTensorVector();
      auto& of_node = shares[nodes[i]];
      of_node.resize(tensors.size());
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (tensors[t].dim() < 2 || tensors[t].numel() == 0) return {};
        of_node[t].channels = tensors[t].size(1);
        of_node[t].low = std::min(of_node[t].low, tensors[t].min().item<double>());
        of_node[t].high = std::max(of_node[t].high, tensors[t].max().item<double>());
      }
    }
  }
  return shares;
}

bool joins_channels(const Node* cat) {
  const auto axis = torch::jit::toIValue(cat->input(1));
  return axis && axis->isInt() && (axis->toInt() == 1 || axis->toInt() == -3) &&
         cat->input(0)->node()->kind() == torch::jit::prim::ListConstruct;
}

bool differ(const std::vector<Share>& shares, double factor) {
  const auto [least, most] = std::minmax_element(
      shares.begin(), shares.end(), [](const Share& a, const Share& b) { return a.span() < b.span(); });
  return shares.size() > 1 && most->span() > factor * least->span();
}

void split(Module& network, const LayerCall& call, const Node* cat, const std::vector<Share>& shares) {
  auto* graph = call.call->owningGraph();
  const torch::jit::WithInsertPoint before(call.call);
  torch::jit::Value* sum = nullptr;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const Tensor weight = call.weight().slice(1, first, first + shares[i].channels).contiguous();
    first += shares[i].channels;
    const std::string name = call.name + "_of_" + std::to_string(i + 1);
    const Module part = make_layer_like(call, network, weight, i == 0 ? call.bias() : std::nullopt);
    network.register_module(name, part);
    torch::jit::Value* self = graph->insertGetAttr(graph->inputs().at(0), name);
    Node* forward = graph->insertNode(
        graph->create(torch::jit::prim::CallMethod, {self, cat->input(0)->node()->input(i)}));
    forward->s_(torch::jit::attr::name, "forward");
    forward->output()->setType(c10::TensorType::get());
    sum = sum == nullptr ? forward->output() : graph->insert(torch::jit::aten::add, {sum, forward->output()});
  }
  call.call->output()->replaceAllUsesWith(sum);
  call.call->destroy();
}

}  // namespace

std::vector<std::string> split_concatenations(Module& network, const ArgumentRows& inputs, std::int64_t batch,
                                              double factor, const std::set<std::string>& except) {
  const torch::NoGradGuard no_gradient;
  std::vector<std::string> names;
  const Shares shares = shares_of(network, inputs, batch);
  for (const LayerCall& call : layer_calls(network)) {
    const Node* cat = call.call->input(1)->node();
    const auto found = shares.find(cat);
    if (found == shares.end() || except.contains(call.name) || !joins_channels(cat)) continue;
    if (call.operation != "conv2d" || call.groups() != 1 || !differ(found->second, factor)) continue;
    split(network, call, cat, found->second);
    names.push_back(call.name);
  }
  if (!names.empty()) torch::jit::EliminateDeadCode(network.get_method("forward").graph());
  return names;
}

}  // namespace outcrop::quantize
