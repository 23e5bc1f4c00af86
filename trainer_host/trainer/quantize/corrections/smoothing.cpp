#include "trainer_host/trainer/quantize/corrections/smoothing.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

#include "trainer_host/trainer/quantize/corrections/layer_inputs.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

constexpr std::int64_t rows_to_choose_by = 512;

// The one layer norm of a child's forward, over its own weight and bias; null where it is none.
Node* layer_norm_of(const Module& child) {
  const auto forward = child.find_method("forward");
  if (!forward) return nullptr;
  Node* found = nullptr;
  for (Node* node : forward->graph()->nodes()) {
    if (node->kind() == torch::jit::prim::CallMethod || !node->blocks().empty()) return nullptr;
    if (!node->kind().is_aten()) continue;
    if (found != nullptr || node->kind() != torch::jit::aten::layer_norm) return nullptr;
    found = node;
  }
  return found != nullptr && found->input(0) == forward->graph()->inputs().at(1) ? found : nullptr;
}

// What a value in a child's forward always is: a constant, a list of them, or an attribute.
std::optional<c10::IValue> always(const Value* value, const Module& child) {
  if (const auto constant = torch::jit::toIValue(value)) return *constant;
  const Node* node = value->node();
  if (node->kind() == torch::jit::prim::GetAttr && node->input()->node()->kind() == torch::jit::prim::Param) {
    const c10::IValue held = child.attr(node->s(torch::jit::attr::name));
    return held.isTensor() ? c10::IValue(held.toTensor().detach()) : held;
  }
  if (node->kind() != torch::jit::prim::ListConstruct) return std::nullopt;
  std::vector<std::int64_t> numbers;
  for (const Value* element : node->inputs()) {
    const auto number = torch::jit::toIValue(element);
    if (!number || !number->isInt()) return std::nullopt;
    numbers.push_back(number->toInt());
  }
  return c10::IValue(numbers);
}

// Calls of children that are layer norms, as operators over constants.
void lift_norms(Module& network) {
  const auto graph = network.get_method("forward").graph();
  const std::vector<Node*> nodes(graph->nodes().begin(), graph->nodes().end());
  for (Node* call : nodes) {
    if (call->kind() != torch::jit::prim::CallMethod) continue;
    const Node* owner = call->input(0)->node();
    if (owner->kind() != torch::jit::prim::GetAttr || owner->input() != graph->inputs().at(0)) continue;
    const Module child = network.attr(owner->s(torch::jit::attr::name)).toModule();
    const Node* norm = layer_norm_of(child);
    if (norm == nullptr) continue;
    const torch::jit::WithInsertPoint before(call);
    std::vector<Value*> inputs{call->input(1)};
    for (std::size_t i = 1; i < norm->inputs().size(); ++i) {
      const auto value = always(norm->input(i), child);
      const auto constant = value ? torch::jit::tryInsertConstant(*graph, *value) : c10::nullopt;
      if (!constant) break;
      inputs.push_back(*constant);
    }
    if (inputs.size() != norm->inputs().size()) continue;
    Node* lifted = graph->insertNode(graph->create(torch::jit::aten::layer_norm, inputs));
    call->output()->replaceAllUsesWith(lifted->output());
    call->destroy();
  }
}

bool is_column_constant(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isTensor() && constant->toTensor().dim() == 1;
}

// Of one axis, with a weight.
bool can_be_scaled(const Node* norm) {
  if (norm->kind() != torch::jit::aten::layer_norm || !is_column_constant(norm->input(2))) return false;
  return norm->input(3)->mustBeNone() || is_column_constant(norm->input(3));
}

// Leaves every row as it is.
bool moves_rows(const Node* node) {
  if (node->kind() == torch::jit::aten::contiguous) return true;
  if (node->kind() != torch::jit::aten::transpose) return false;
  const auto is_first = [&](std::size_t input) {
    const auto axis = torch::jit::toIValue(node->input(input));
    return axis && (axis->toInt() == 0 || axis->toInt() == 1);
  };
  return is_first(1) && is_first(2);
}

struct Reader {
  LayerCall call;
  std::vector<Node*> way;  // from the norm, what only moves rows
};

struct NormReaders {
  Node* norm;
  std::vector<Reader> readers;
};

std::vector<NormReaders> readers_of_norms(const Module& network, const std::set<std::string>& except) {
  std::vector<NormReaders> norms;
  for (LayerCall& call : layer_calls(network)) {
    if (call.operation != "linear" || except.contains(call.name)) continue;
    Reader reader{call, {}};
    Node* node = call.call->input(1)->node();
    for (; moves_rows(node); node = node->input(0)->node()) reader.way.insert(reader.way.begin(), node);
    if (!can_be_scaled(node)) continue;
    const auto known = std::find_if(norms.begin(), norms.end(), [&](const NormReaders& one) { return one.norm == node; });
    if (known == norms.end()) {
      norms.push_back({node, {std::move(reader)}});
    } else {
      known->readers.push_back(std::move(reader));
    }
  }
  return norms;
}

// What comes in to a layer.
struct SeenInputs {
  Tensor largest;  // of each column, without sign
  Tensor rows;     // some
};

std::map<std::string, SeenInputs> see(const Module& network, const ArgumentRows& inputs, std::int64_t batch,
                                const std::vector<NormReaders>& norms) {
  std::map<std::string, SeenInputs> seen;
  for (const NormReaders& norm : norms) seen[norm.readers.front().call.name];
  visit_layer_inputs(network, inputs, batch, [&](const LayerCall& call, const Tensor& x) {
    const auto found = seen.find(call.name);
    if (found == seen.end() || x.size(0) == 0) return;
    SeenInputs& one = found->second;
    const Tensor largest = x.abs().amax(0);
    one.largest = one.largest.defined() ? torch::maximum(one.largest, largest) : largest;
    const std::int64_t most = std::max<std::int64_t>(1, rows_to_choose_by * std::min(batch, inputs.size()) / inputs.size());
    const std::int64_t step = std::max<std::int64_t>(1, x.size(0) / most);
    const Tensor some = x.slice(0, 0, x.size(0), step).clone();
    one.rows = one.rows.defined() ? torch::cat({one.rows, some}) : some;
  });
  return seen;
}

// To 256 values between the least and the largest, 0 among them.
Tensor rounded_inputs(const Tensor& x) {
  const Tensor low = x.amin().clamp_max(0.0);
  const Tensor scale = ((x.amax().clamp_min(0.0) - low) / 255.0).clamp_min(1e-12);
  const Tensor zero = torch::round(-low / scale);
  return ((torch::round(x / scale) + zero).clamp(0.0, 255.0) - zero) * scale;
}

Tensor rounded_weight(const Tensor& weight, std::optional<std::int64_t> axis) {
  const Tensor largest = axis ? weight.abs().amax(1 - *axis, /*keepdim=*/true) : weight.abs().amax();
  const Tensor scale = (largest / 127.0).clamp_min(1e-12);
  return torch::round(weight / scale) * scale;
}

// Nothing where no factors leave less error than none.
std::optional<Tensor> best_factors(const NormReaders& norm, const SeenInputs& seen,
                                   const std::function<std::optional<std::int64_t>(const LayerCall&)>& axis) {
  Tensor weights;  // the largest of each column
  for (const Reader& reader : norm.readers) {
    const Tensor largest = reader.call.weight().abs().amax(0);
    weights = weights.defined() ? torch::maximum(weights, largest) : largest;
  }
  if (!seen.largest.defined() || seen.largest.sizes() != weights.sizes()) return std::nullopt;
  const Tensor known = (seen.largest > 0) & (weights > 0);
  const auto error_of = [&](const Tensor& factors) {
    const Tensor x = rounded_inputs(seen.rows / factors);
    double error = 0.0;
    for (const Reader& reader : norm.readers) {
      const Tensor weight = reader.call.weight();
      const Tensor off = torch::matmul(x, rounded_weight(weight * factors, axis(reader.call)).t()) - torch::matmul(seen.rows, weight.t());
      error += off.square().sum().item<double>();
    }
    return error;
  };
  std::optional<Tensor> best;
  double least = error_of(torch::ones_like(weights));
  for (int tenths = 1; tenths < 10; ++tenths) {
    const double a = 0.1 * tenths;
    constexpr double most = 1024.0;
    Tensor factors = seen.largest.clamp_min(1e-12).pow(a) / weights.clamp_min(1e-12).pow(1.0 - a);
    const Tensor middle = torch::exp(torch::log(factors.masked_select(known)).mean());
    factors = torch::where(known, (factors / middle).clamp(1.0 / most, most), torch::ones_like(factors));
    const double error = error_of(factors);
    if (!(error < least)) continue;
    least = error;
    best = factors;
  }
  return best;
}

// Its linear layers read a copy whose columns are divided by `factors`.
void rewrite(NormReaders& norm, const Tensor& factors) {
  auto* graph = norm.norm->owningGraph();
  const torch::jit::WithInsertPoint behind(norm.norm->next());
  const auto divided = [&](std::size_t input) -> Value* {
    Value* value = norm.norm->input(input);
    if (value->mustBeNone()) return value;
    return graph->insertConstant(torch::jit::toIValue(value)->toTensor() / factors);
  };
  std::unordered_map<Value*, Value*> copies{{norm.norm->input(2), divided(2)}, {norm.norm->input(3), divided(3)}};
  const auto copy = [&](Node* node) {
    Node* made = graph->createClone(node, [&](Value* value) {
      const auto found = copies.find(value);
      return found == copies.end() ? value : found->second;
    });
    copies[node->output()] = made->output();
    return made;
  };
  graph->insertNode(copy(norm.norm));
  for (Reader& reader : norm.readers) {
    for (Node* node : reader.way) {
      if (!copies.contains(node->output())) copy(node)->insertAfter(node);
    }
    reader.call.call->replaceInput(1, copies.at(reader.call.call->input(1)));
    reader.call.set_weight(reader.call.weight() * factors);
  }
}

}  // namespace

std::vector<std::string> smooth(Module& network, const ArgumentRows& inputs, std::int64_t batch, const std::set<std::string>& except,
                                const std::function<std::optional<std::int64_t>(const LayerCall&)>& axis) {
  const torch::NoGradGuard no_gradient;
  lift_norms(network);
  std::vector<NormReaders> norms = readers_of_norms(network, except);
  if (norms.empty()) return {};
  const std::map<std::string, SeenInputs> seen = see(network, inputs, batch, norms);
  std::vector<std::string> changed;
  for (NormReaders& norm : norms) {
    const auto factors = best_factors(norm, seen.at(norm.readers.front().call.name), axis);
    if (!factors) continue;
    rewrite(norm, *factors);
    for (const Reader& reader : norm.readers) changed.push_back(reader.call.name);
  }
  torch::jit::EliminateDeadCode(network.get_method("forward").graph());
  return changed;
}

}  // namespace outcrop::quantize
