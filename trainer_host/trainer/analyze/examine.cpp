#include "trainer_host/trainer/analyze/examine.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/analyze/coverage.hpp"
#include "trainer_host/trainer/analyze/layer_match.hpp"
#include "trainer_host/trainer/analyze/task.hpp"

namespace outcrop::analyze {
namespace {

using torch::Tensor;
using Calls = std::vector<quantize::TracedCall>;

std::string shape_text(const Tensor& tensor) {
  std::string text = "[";
  for (const std::int64_t size : tensor.sizes()) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

struct Run {
  Calls calls;
  std::vector<Tensor> outputs;
};

Result<Run> traced(AnalyzedModel& model, const std::string& method, const std::vector<Tensor>& inputs) {
  quantize::OperatorTrace trace(is_compared);
  OUTCROP_TRY(outputs, model.call(method, inputs));
  return Run{trace.take(), std::move(outputs)};
}

Status check_alike(const AnalyzedModel& original, const AnalyzedModel& quantized, const Questions& questions) {
  const AnalyzedModel::Method& wanted = questions.method;
  const auto* other = quantized.method(wanted.name);
  if (other != nullptr && other->tensors.size() == wanted.tensors.size()) return {};
  std::string there;
  for (const auto& method : quantized.methods()) there += (there.empty() ? "" : ", ") + method.text;
  return fail(ErrorCode::invalid_argument,
              "these are not two forms of one model: " + original.name() + " has " + wanted.text + ", and " +
                  quantized.name() + " has " + (there.empty() ? "no method that takes tensors alone" : there));
}

Status check_outputs(const AnalyzedModel& original, const std::vector<Tensor>& before,
                     const AnalyzedModel& quantized, const std::vector<Tensor>& after) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument, "these are not two forms of one model: " + original.name() + " gives " + why);
  };
  if (before.size() != after.size()) {
    return refuse(std::to_string(before.size()) + " outputs, and " + quantized.name() + " " +
                  std::to_string(after.size()));
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].sizes() == after[i].sizes() && before[i].scalar_type() == after[i].scalar_type()) continue;
    return refuse("as output " + std::to_string(i + 1) + " for one row " + shape_text(before[i]) + " " +
                  std::string(c10::toString(before[i].scalar_type())) + ", and " + quantized.name() + " " +
                  shape_text(after[i]) + " " + std::string(c10::toString(after[i].scalar_type())));
  }
  return {};
}

Status check_float(const AnalyzedModel& original, const Calls& calls) {
  for (const quantize::TracedCall& call : calls) {
    if (layer_operation(call).empty()) continue;
    if (call.name.starts_with("prepacked::")) {
      return fail(ErrorCode::invalid_argument,
                  original.name() + " runs " + call.name +
                      ", which hides its weights: give the plain float model (<model>_float.ptl), not the "
                      "optimized one");
    }
    if (works_on_codes(call)) {
      return fail(ErrorCode::invalid_argument, original.name() + " is quantized itself (it runs " + call.name +
                                                   "); what comes first must be the float model");
    }
  }
  return {};
}

// In the shape and order of `truth`; undefined where that cannot be known.
Tensor as_laid_out(const Tensor& values, const Tensor& truth) {
  if (values.sizes() == truth.sizes()) return values;
  if (values.numel() != truth.numel()) return {};
  if (values.squeeze().sizes() == truth.squeeze().sizes()) return values.reshape(truth.sizes());
  // A product with unfolded input: rows, places, channels.
  if (values.dim() == 3 && truth.dim() >= 3 && values.size(0) == truth.size(0) && values.size(2) == truth.size(1)) {
    return values.transpose(1, 2).reshape(truth.sizes());
  }
  return {};
}

void count(Histogram& histogram, const Tensor& values) {
  const auto inside = values.flatten().clamp(histogram.least, histogram.most);
  const auto counted = torch::histc(inside, static_cast<std::int64_t>(Histogram::bins), histogram.least,
                                    histogram.most)
                           .to(torch::kLong);
  for (std::size_t i = 0; i < Histogram::bins; ++i) {
    histogram.counts[i] += static_cast<std::uint64_t>(counted[static_cast<std::int64_t>(i)].item<std::int64_t>());
  }
}

// Over the range of both, which the first values decide.
void count(std::optional<HistogramPair>& pair, const Tensor& before, const Tensor& after) {
  if (before.numel() == 0 || after.numel() == 0) return;
  if (!pair) {
    pair.emplace();
    double least = std::min(before.min().item<double>(), after.min().item<double>());
    double most = std::max(before.max().item<double>(), after.max().item<double>());
    if (!(most > least)) {
      least -= 0.5;
      most += 0.5;
    }
    pair->before.least = pair->after.least = least;
    pair->before.most = pair->after.most = most;
  }
  count(pair->before, before);
  count(pair->after, after);
}

// The same weights, row by row elsewhere: a method may lay a layer's output so that it is read faster.
bool stands_in_another_order(const Tensor& truth, const Tensor& other) {
  constexpr double unlike_db = 6;
  constexpr double like_db = 15;
  const auto db = distance_of(truth, other).sqnr_db();
  if (!db || *db > unlike_db) return false;
  const auto sorted = [](const Tensor& tensor) { return std::get<0>(tensor.flatten().sort()); };
  const Distance in_order = distance_of(sorted(truth), sorted(other));
  return in_order.exact() || in_order.sqnr_db().value_or(0.0) > like_db;
}

void compare_weights(Layer& layer, const quantize::TracedCall& before, const quantize::TracedCall& after) {
  const Tensor truth = weight_of(before);
  const Tensor other = weight_of(after);
  if (!truth.defined() || !truth.is_floating_point()) return;
  layer.weights = truth.numel();
  const Tensor bias = bias_of(before);
  layer.biases = bias.defined() ? bias.numel() : 0;
  // A norm that was folded in changed them besides.
  if (layer.compared_after.find("batch_norm") != std::string::npos || !other.defined()) return;
  const Tensor laid = as_laid_out(other.to(torch::kFloat), truth);
  if (!laid.defined()) return;
  if (stands_in_another_order(truth, laid)) {
    layer.not_compared = "its weights stand in another order, and so do its values";
    return;
  }
  layer.weight = distance_of(truth, laid);
  count(layer.weight_values, truth, laid);
}

// Channels of `other`, each times the number that brings it nearest to `truth`: equalization makes a layer's channels
// larger and the next one's smaller.
Tensor up_to_scales(const Tensor& truth, const Tensor& other, std::int64_t axis) {
  std::vector<std::int64_t> others;
  for (std::int64_t i = 0; i < truth.dim(); ++i) {
    if (i != axis) others.push_back(i);
  }
  const auto power = other.square().sum(others, /*keepdim=*/true);
  const auto scale = (truth * other).sum(others, /*keepdim=*/true) / power.clamp_min(1e-30);
  return torch::where(power > 0, other * scale, other);
}

// `equalized`: compared up to a scale of each channel.
void compare_values(Layer& layer, const LayerPair& pair, const Calls& before, const Calls& after, bool equalized) {
  if (!layer.not_compared.empty()) return;
  const auto& truths = before[pair.compared].values;
  const auto& others = after[pair.after].values;
  if (truths.empty() || others.empty() || !truths[0].defined() || !others[0].defined()) {
    layer.not_compared = "it gives no values of floats";
    return;
  }
  const Tensor truth = pair.clamped ? truths[0].clamp_min(0) : truths[0];
  Tensor other = as_laid_out(others[0], truth);
  if (!other.defined()) {
    layer.not_compared = "its values lie otherwise: " + shape_text(truth) + " before, " + shape_text(others[0]) +
                         " after";
    return;
  }
  if (equalized && truth.dim() > 1) {
    other = up_to_scales(truth, other, layer.operation.starts_with("conv") ? 1 : truth.dim() - 1);
  }
  const Distance distance = distance_of(truth, other);
  if (!layer.output) layer.output.emplace();
  layer.output->add(distance);
  count(layer.activations, truth, other);
}

// Names by what owns the weights, where that is known.
std::string layer_name(const AnalyzedModel& model, const quantize::TracedCall& call, std::size_t place) {
  const Tensor weight = weight_of(call);
  for (const auto& [path, tensor] : model.tensors()) {
    if (!weight.defined() || tensor.data_ptr() != weight.data_ptr()) continue;
    const auto dot = path.rfind('.');
    return dot == std::string::npos ? path : path.substr(0, dot);
  }
  return "layer " + std::to_string(place + 1);
}

// `named` says what the layer of a pair is called.
template <class Named>
Status check_finite(const std::vector<LayerPair>& pairs, const Calls& calls, const Named& named) {
  const auto finite = [](const Tensor& tensor) {
    return !tensor.defined() || !tensor.is_floating_point() || torch::isfinite(tensor).all().item<bool>();
  };
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const quantize::TracedCall& call = calls[pairs[i].before];
    const bool weights = finite(weight_of(call));
    if (weights && (call.values.empty() || finite(call.values[0]))) continue;
    return fail(ErrorCode::diverged, "layer " + named(i) + " of the float model has " +
                                         (weights ? "values that are not finite for these rows"
                                                  : "weights that are not finite"));
  }
  return {};
}

std::string flat(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// By order where the plan has as many layers of the same operations; else by name.
const quantize::LayerDecision* decision_for(const quantize::Plan& plan, const std::vector<Layer>& layers,
                                            std::size_t at) {
  const bool in_order = plan.layers.size() == layers.size() &&
                        std::equal(layers.begin(), layers.end(), plan.layers.begin(),
                                   [](const Layer& layer, const quantize::LayerDecision& decision) {
                                     return layer.operation == decision.operation;
                                   });
  if (in_order) return &plan.layers[at];
  const std::string name = flat(layers[at].name);
  for (const auto& decision : plan.layers) {
    const std::string planned = flat(decision.layer);
    if (planned == name || planned.ends_with("_" + name)) return &decision;
  }
  return nullptr;
}

void take_plan(const quantize::Plan& plan, Analysis& analysis) {
  analysis.variant = plan.variant;
  analysis.method = plan.method;
  std::vector<const quantize::LayerDecision*> decisions;
  for (std::size_t i = 0; i < analysis.layers.size(); ++i) {
    decisions.push_back(decision_for(plan, analysis.layers, i));
  }
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    if (decisions[i] == nullptr) continue;
    Layer& layer = analysis.layers[i];
    layer.name = decisions[i]->layer;
    layer.format = decisions[i]->format;
    if (layer.is_float() == layer.computes_in_codes) {
      analysis.remarks.push_back("the plan says " + layer.format + " for " + layer.name + ", and " +
                                 layer.quantized_operator + " ran" +
                                 (layer.computes_in_codes ? "" : ": it is stored so, and multiplied in float"));
    }
  }
}

std::vector<Layer> layers_of(const AnalyzedModel& original, const std::vector<LayerPair>& pairs,
                             const Calls& before, const Calls& after) {
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const quantize::TracedCall& first = before[pairs[i].before];
    const quantize::TracedCall& second = after[pairs[i].after];
    Layer layer;
    layer.name = layer_name(original, first, i);
    layer.operation = pairs[i].operation;
    layer.float_operator = first.name;
    layer.quantized_operator = second.name;
    layer.compared_after = pairs[i].compared_after;
    layer.computes_in_codes = works_on_codes(second);
    layer.format = layer.computes_in_codes ? "int8" : "float";
    layer.multiply_adds = first.multiply_adds;
    compare_weights(layer, first, second);
    layers.push_back(std::move(layer));
  }
  return layers;
}

bool is_equalized(const ExamineOptions& options) {
  if (!options.plan || !options.plan->corrections) return false;
  const auto& kept = *options.plan->corrections;
  return std::find(kept.begin(), kept.end(), "equalization") != kept.end();
}

// One row through both: what ran, and what can be refused before the work.
Result<Analysis> look(AnalyzedModel& original, AnalyzedModel& quantized, const Questions& questions,
                      const ExamineOptions& options) {
  OUTCROP_CHECK(check_alike(original, quantized, questions));
  std::vector<Tensor> row;
  for (const Tensor& input : questions.batches.front()) row.push_back(input.slice(0, 0, 1).contiguous());
  auto before = traced(original, questions.method.name, row);
  if (!before) return fail(before.error().context("asked the first row of " + questions.from));
  OUTCROP_CHECK(check_float(original, before->calls));
  auto after = traced(quantized, questions.method.name, row);
  if (!after) return fail(after.error().context("asked the first row of " + questions.from));
  OUTCROP_CHECK(check_outputs(original, before->outputs, quantized, after->outputs));
  if (options.objective && !questions.targets.empty()) {
    OUTCROP_CHECK(options.objective->check(before->outputs.front(), questions.targets.front().slice(0, 0, 1)));
  }
  Analysis analysis;
  analysis.original = original.name();
  analysis.quantized = quantized.name();
  analysis.called = questions.method.text;
  analysis.rows_from = questions.from;
  analysis.float_operators = quantize::count_calls(before->calls);
  analysis.quantized_operators = quantize::count_calls(after->calls);
  for (const quantize::TracedCall& call : after->calls) {
    if (!is_border(call.name)) continue;
    ++(call.name == "aten::dequantize" ? analysis.dequantizations : analysis.quantizations);
  }
  const auto pairs = match_layers(before->calls, after->calls);
  if (pairs) {
    OUTCROP_CHECK(check_finite(*pairs, before->calls, [&](std::size_t at) {
      return layer_name(original, before->calls[(*pairs)[at].before], at);
    }));
    analysis.layers = layers_of(original, *pairs, before->calls, after->calls);
  } else {
    analysis.unmatched = pairs.error().message();
  }
  if (options.plan) take_plan(*options.plan, analysis);
  if (is_equalized(options)) {
    analysis.remarks.push_back("weights were equalized: layers' outputs are compared up to a scale of each channel, "
                               "weights not at all");
    for (Layer& layer : analysis.layers) {
      layer.weight.reset();
      layer.weight_values.reset();
    }
  }
  std::map<std::size_t, std::string> names;  // of layers, by their call in the quantized run
  for (std::size_t i = 0; i < analysis.layers.size(); ++i) names[(*pairs)[i].after] = analysis.layers[i].name;
  analysis.coverage = coverage_of(analysis.layers, before->calls, original.tensors());
  analysis.islands = islands_of(after->calls, names, analysis.layers);
  return analysis;
}

Status compare_batch(AnalyzedModel& original, AnalyzedModel& quantized, const Questions& questions,
                     std::size_t batch, const ExamineOptions& options, Analysis& analysis, TaskScores& scores) {
  const bool layers_too = analysis.rows < options.most_rows && analysis.unmatched.empty();
  const auto& inputs = questions.batches[batch];
  OUTCROP_TRY(before, traced(original, questions.method.name, inputs));
  OUTCROP_TRY(after, traced(quantized, questions.method.name, inputs));
  if (analysis.outputs.empty()) {
    for (std::size_t i = 0; i < before.outputs.size(); ++i) {
      analysis.outputs.push_back({before.outputs.size() == 1 ? "output" : "output_" + std::to_string(i + 1), {}});
    }
  }
  for (std::size_t i = 0; i < before.outputs.size(); ++i) {
    analysis.outputs[i].distance.add(
        distance_of(before.outputs[i].to(torch::kFloat), after.outputs[i].to(torch::kFloat)));
  }
  if (options.objective && batch < questions.targets.size()) {
    scores.add(*options.objective, before.outputs.front(), after.outputs.front(), questions.targets[batch]);
  }
  if (!layers_too) return {};
  OUTCROP_TRY(pairs, match_layers(before.calls, after.calls));
  if (pairs.size() != analysis.layers.size()) {
    return fail(ErrorCode::unsupported, "other layers run for some rows than for others");
  }
  OUTCROP_CHECK(check_finite(pairs, before.calls, [&](std::size_t at) { return analysis.layers[at].name; }));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    compare_values(analysis.layers[i], pairs[i], before.calls, after.calls, is_equalized(options));
  }
  analysis.rows += static_cast<std::size_t>(inputs.front().size(0));
  return {};
}

}  // namespace

Distance distance_of(const Tensor& truth, const Tensor& other) {
  Distance distance;
  if (truth.numel() == 0) return distance;
  const auto apart = (truth - other).abs();
  distance.signal = truth.pow(2).sum(torch::kDouble).item<double>();
  distance.noise = apart.pow(2).sum(torch::kDouble).item<double>();
  distance.sum = apart.sum(torch::kDouble).item<double>();
  distance.most = apart.max().item<double>();
  distance.values = truth.numel();
  return distance;
}

Result<Analysis> examine(AnalyzedModel& original, AnalyzedModel& quantized, const Questions& questions,
                         const ExamineOptions& options) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(analysis, look(original, quantized, questions, options));
  TaskScores scores;
  std::size_t done = 0;
  for (std::size_t batch = 0; batch < questions.batches.size(); ++batch) {
    if (options.progress) options.progress(done, questions.rows());
    OUTCROP_CHECK(compare_batch(original, quantized, questions, batch, options, analysis, scores));
    done += static_cast<std::size_t>(questions.batches[batch].front().size(0));
  }
  if (options.progress) options.progress(done, questions.rows());
  if (options.objective && scores.rows() > 0) analysis.task = scores.compared(*options.objective);
  return analysis;
}

}  // namespace outcrop::analyze
