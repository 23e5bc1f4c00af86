#include "trainer_host/trainer/models/decided_graph.hpp"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "trainer_host/trainer/models/graph_layers.hpp"

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

// What values of the graph, in its outermost block, are for these arguments.
std::vector<c10::IValue> evaluated(const std::shared_ptr<Graph>& graph, const std::vector<std::size_t>& nodes,
                                   const Module& network, const std::vector<Tensor>& example) {
  auto copy = graph->copy();
  std::vector<Value*> values;
  std::size_t place = 0;
  for (Node* node : copy->nodes()) {
    if (std::binary_search(nodes.begin(), nodes.end(), place++)) values.push_back(node->output());
  }
  Node* all = copy->insertNode(copy->createTuple(values));
  while (!copy->outputs().empty()) copy->eraseOutput(0);
  copy->registerOutput(all->output());
  torch::jit::GraphFunction function("askers", copy, nullptr);
  std::vector<c10::IValue> arguments{network._ivalue()};
  arguments.insert(arguments.end(), example.begin(), example.end());
  return function(std::move(arguments)).toTupleRef().elements().vec();
}

// How many axes a tensor has, of what type it is, whether two are one: the same for all rows.
bool asks_what_all_rows_share(const Node* node) {
  static const std::set<std::string> askers{"aten::dim",    "aten::is_floating_point", "aten::__is__",
                                            "prim::dtype",  "aten::__isnot__",         "aten::is_autocast_enabled",
                                            "prim::device", "prim::is_cuda",           "prim::is_nested"};
  const std::string kind = node->kind().toQualString();
  if (kind == "aten::len") return node->input(0)->node()->kind() == torch::jit::aten::size;
  if (kind == "aten::format") {  // LibTorch leaves it alone whatever is in it
    return std::all_of(node->inputs().begin(), node->inputs().end(),
                       [](const Value* input) { return torch::jit::toIValue(input).has_value(); });
  }
  return askers.contains(kind);
}

// Of a loop that makes numbers, and takes tensors from lists at most.
bool is_of_numbers(const Block* block) {
  return std::all_of(block->nodes().begin(), block->nodes().end(), [](const Node* node) {
    const bool takes = node->kind() == torch::jit::aten::__getitem__;
    const bool tensor = std::any_of(node->outputs().begin(), node->outputs().end(), [](const Value* output) {
      return output->type()->isSubtypeOf(*c10::TensorType::get());
    });
    return (takes || !tensor) && std::all_of(node->blocks().begin(), node->blocks().end(), is_of_numbers);
  });
}

// How often such a loop runs, where that is known and few.
std::optional<std::int64_t> counted(const Node* loop) {
  constexpr std::int64_t most_times = 16;
  if (loop->kind() != torch::jit::prim::Loop || !is_of_numbers(loop->blocks().at(0))) return std::nullopt;
  const auto times = torch::jit::toIValue(loop->input(0));
  const auto begins = torch::jit::toIValue(loop->input(1));
  const auto goes_on = torch::jit::toIValue(loop->blocks().at(0)->outputs().at(0));
  if (!times || !begins || !goes_on || !begins->toBool() || !goes_on->toBool()) return std::nullopt;
  return times->toInt() <= most_times ? std::optional(times->toInt()) : std::nullopt;
}

void unroll(Node* loop, std::int64_t times) {
  Graph& graph = *loop->owningGraph();
  Block* body = loop->blocks().at(0);
  const torch::jit::WithInsertPoint before(loop);
  std::vector<Value*> carried(loop->inputs().begin() + 2, loop->inputs().end());
  for (std::int64_t i = 0; i < times; ++i) {
    std::map<Value*, Value*> now{{body->inputs().at(0), graph.insertConstant(i)}};
    for (std::size_t k = 0; k < carried.size(); ++k) now[body->inputs().at(k + 1)] = carried[k];
    const auto value = [&](Value* of_body) {
      const auto found = now.find(of_body);
      return found == now.end() ? of_body : found->second;
    };
    for (Node* node : body->nodes()) {
      Node* copy = graph.insertNode(graph.createClone(node, value));
      for (std::size_t k = 0; k < node->outputs().size(); ++k) now[node->output(k)] = copy->output(k);
    }
    for (std::size_t k = 0; k < carried.size(); ++k) carried[k] = value(body->outputs().at(k + 1));
  }
  for (std::size_t k = 0; k < carried.size(); ++k) loop->output(k)->replaceAllUsesWith(carried[k]);
  loop->destroy();
}

// Python's modules count axes by loops, as F.interpolate does for its factors: passes know lists that stand there.
void write_out_lists(std::shared_ptr<Graph>& graph) {
  visit_all(graph->block(), [](Node* node) {
    if (const auto times = counted(node)) unroll(node, *times);
  });
  torch::jit::RemoveListMutation(graph);
  torch::jit::ConstantPropagation(graph);
  torch::jit::PeepholeOptimize(graph);
}

}  // namespace

void decide_branches(std::shared_ptr<Graph>& graph, const Module& network, const std::vector<Tensor>& example) {
  write_out_lists(graph);
  if (example.size() + 1 != graph->inputs().size()) return;
  constexpr int deepest = 64;
  for (int round = 0; round < deepest; ++round) {
    std::vector<std::size_t> places;
    std::vector<Node*> askers;
    std::size_t place = 0;
    for (Node* node : graph->nodes()) {
      if (asks_what_all_rows_share(node)) {
        places.push_back(place);
        askers.push_back(node);
      }
      ++place;
    }
    if (askers.empty()) return;
    const auto answers = evaluated(graph, places, network, example);
    for (std::size_t i = 0; i < askers.size(); ++i) {
      const torch::jit::WithInsertPoint before(askers[i]);
      askers[i]->output()->replaceAllUsesWith(graph->insertConstant(answers.at(i)));
      askers[i]->destroy();
    }
    torch::jit::ConstantPropagation(graph);
    torch::jit::PeepholeOptimize(graph);
    write_out_lists(graph);
  }
}

void take_apart(Graph& graph) {
  visit_all(graph.block(), [&](Node* node) {
    const std::string kind = node->kind().toQualString();
    if (kind != "aten::is_grad_enabled" && kind != "prim::requires_grad") return;
    const torch::jit::WithInsertPoint before(node);
    node->output()->replaceAllUsesWith(graph.insertConstant(true));
    node->destroy();
  });
}

}  // namespace outcrop::models
