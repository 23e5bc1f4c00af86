#include "trainer_host/trainer/quantize/corrections/equalization.hpp"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Node;

// Work on each channel by itself, and scale with it.
bool is_homogeneous(const Node* node) {
  static const std::set<std::string_view> kinds{
      "aten::relu",        "aten::relu_",       "aten::leaky_relu",          "aten::leaky_relu_",
      "aten::max_pool2d",  "aten::avg_pool2d",  "aten::adaptive_avg_pool2d", "aten::adaptive_max_pool2d",
      "aten::contiguous",  "aten::dropout",     "aten::upsample_nearest2d"};
  if (!kinds.contains(node->kind().toQualString())) return false;
  if (node->kind() != torch::jit::aten::leaky_relu) return true;
  const auto slope = torch::jit::toIValue(node->input(1));
  return slope && slope->isScalar() && slope->toScalar().toDouble() >= 0.0;
}

// Whose channels can be scaled one by one, on the side that is asked for.
bool has_plain_outputs(const LayerCall& call) {
  return call.groups() == 1 || !call.transposed();
}
bool is_depthwise(const LayerCall& call) {
  return !call.transposed() && call.groups() == call.weight().size(0) && call.weight().size(1) == 1;
}
bool has_plain_inputs(const LayerCall& call) {
  return call.groups() == 1 || is_depthwise(call);
}

// The axis of the second layer's weight along which the first one's channels lie.
std::int64_t fed_axis(const LayerCall& call) {
  return is_depthwise(call) && call.groups() > 1 ? 0 : call.input_axis();
}

struct Pair {
  LayerCall first;
  LayerCall second;
};

std::vector<Pair> pairs_of(const torch::jit::Module& network) {
  std::vector<LayerCall> calls = layer_calls(network);
  std::map<const Node*, LayerCall*> by_node;
  for (LayerCall& call : calls) by_node[call.call] = &call;
  std::vector<Pair> pairs;
  for (LayerCall& first : calls) {
    const torch::jit::Value* value = first.call->output();
    while (value->uses().size() == 1 && value->uses()[0].offset == 0 && is_homogeneous(value->uses()[0].user)) {
      value = value->uses()[0].user->output();
    }
    if (value->uses().size() != 1 || value->uses()[0].offset != 1) continue;
    const auto second = by_node.find(value->uses()[0].user);
    if (second == by_node.end()) continue;
    // A linear layer takes the last axis, which channels are only where the first is linear too.
    if ((first.operation == "linear") != (second->second->operation == "linear")) continue;
    if (!has_plain_outputs(first) || !has_plain_inputs(*second->second)) continue;
    if (first.weight().size(first.output_axis()) != second->second->weight().size(fed_axis(*second->second))) continue;
    pairs.push_back({first, *second->second});
  }
  return pairs;
}

Tensor spans(const Tensor& weight, std::int64_t axis) {
  return weight.transpose(0, axis).flatten(1).abs().amax(1);
}

Tensor along(const Tensor& factors, const Tensor& weight, std::int64_t axis) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  shape[static_cast<std::size_t>(axis)] = -1;
  return factors.reshape(shape);
}

// Answers how far from 1 the factors were.
double equalize_pair(Pair& pair) {
  const std::int64_t out = pair.first.output_axis();
  const std::int64_t in = fed_axis(pair.second);
  const Tensor first = pair.first.weight();
  const Tensor second = pair.second.weight();
  const Tensor first_spans = spans(first, out);
  const Tensor second_spans = spans(second, in);
  // A channel of nothing stays; and no channel grows without end beside others.
  constexpr double most = 1024.0;
  const Tensor both = (first_spans > 0) & (second_spans > 0);
  Tensor divisors = torch::sqrt(first_spans / second_spans.clamp_min(1e-30));
  divisors = torch::where(both, divisors, torch::ones_like(divisors)).clamp(1.0 / most, most);
  pair.first.set_weight(first / along(divisors, first, out));
  if (const auto bias = pair.first.bias()) pair.first.set_bias(*bias / divisors);
  pair.second.set_weight(second * along(divisors, second, in));
  return (divisors - 1.0).abs().max().item<double>();
}

}  // namespace

std::size_t equalize(torch::jit::Module& network) {
  const torch::NoGradGuard no_gradient;
  std::vector<Pair> pairs = pairs_of(network);
  // A layer in the middle of a chain is in two pairs: again until nothing moves.
  constexpr int most_rounds = 30;
  constexpr double settled = 1e-3;
  for (int round = 0; round < most_rounds; ++round) {
    double moved = 0.0;
    for (Pair& pair : pairs) moved = std::max(moved, equalize_pair(pair));
    if (moved < settled) break;
  }
  return pairs.size();
}

}  // namespace outcrop::quantize
