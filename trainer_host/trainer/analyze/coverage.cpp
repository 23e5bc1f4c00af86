#include "trainer_host/trainer/analyze/coverage.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "trainer_host/trainer/analyze/layer_match.hpp"

namespace outcrop::analyze {
namespace {

// Only say how values lie; they compute nothing.
constexpr std::array<std::string_view, 29> views{
    "aten::view",      "aten::reshape",   "aten::flatten",   "aten::permute",    "aten::transpose",
    "aten::slice",     "aten::select",    "aten::unsqueeze", "aten::squeeze",    "aten::contiguous",
    "aten::detach",    "aten::to",        "aten::t",         "aten::expand",     "aten::expand_as",
    "aten::size",      "aten::split",     "aten::chunk",     "aten::unbind",     "aten::dropout",
    "aten::dropout_",  "aten::dim",       "aten::numel",     "aten::movedim",    "aten::clone",
    "aten::unflatten", "aten::view_as",   "aten::alias",     "aten::narrow"};

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0.0;
}

bool computes_on_floats(const quantize::TracedCall& call) {
  if (is_border(call.name) || works_on_codes(call)) return false;
  if (std::find(views.begin(), views.end(), call.name) != views.end()) return false;
  return std::any_of(call.outputs.begin(), call.outputs.end(), [](const c10::IValue& value) {
    return value.isTensor() && value.toTensor().defined() && value.toTensor().is_floating_point() &&
           value.toTensor().dim() > 0;
  });
}

std::string place_of(const std::string& before, const std::string& behind) {
  if (before.empty() && behind.empty()) return "the whole";
  if (before.empty()) return "before " + behind;
  if (behind.empty()) return "after " + before;
  return "between " + before + " and " + behind;
}

}  // namespace

Coverage coverage_of(const std::vector<Layer>& layers, const std::vector<quantize::TracedCall>& float_calls,
                     const std::map<std::string, torch::Tensor>& tensors) {
  Coverage coverage;
  std::int64_t in_codes = 0;
  std::int64_t of_layers = 0;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> formats;  // layers, weights
  std::int64_t biases = 0;
  for (const Layer& layer : layers) {
    auto& [count, weights] = formats[layer.format];
    ++count;
    weights += layer.weights;
    biases += layer.biases;
    of_layers += layer.weights;
    if (layer.computes_in_codes) in_codes += layer.multiply_adds;
  }
  for (const quantize::TracedCall& call : float_calls) {
    coverage.multiply_adds += call.multiply_adds;
    if (layer_operation(call).empty()) coverage.product_multiply_adds += call.multiply_adds;
  }
  // Those of layers stand among all that is stored, unless they are constants of its code.
  std::int64_t stored = 0;
  std::set<const void*> seen;
  for (const auto& [path, tensor] : tensors) {
    if (tensor.is_floating_point() && seen.insert(tensor.data_ptr()).second) stored += tensor.numel();
  }
  coverage.parameters = std::max(stored, of_layers + biases);
  const auto modules = static_cast<double>(layers.size());
  const auto parameters = static_cast<double>(coverage.parameters);
  for (const auto& [format, counts] : formats) {
    Share one{format, share(static_cast<double>(counts.first), modules),
              share(static_cast<double>(counts.second), parameters)};
    if (format != "float") {
      coverage.below_float_modules += one.modules;
      coverage.below_float_parameters += one.parameters;
    } else {
      one.parameters = 0;  // filled in below: biases and all else is float, too
    }
    coverage.formats.push_back(one);
  }
  const double rest = 1.0 - coverage.below_float_parameters;
  const auto floats = std::find_if(coverage.formats.begin(), coverage.formats.end(),
                                   [](const Share& one) { return one.format == "float"; });
  if (floats != coverage.formats.end()) {
    floats->parameters = rest;
  } else if (!layers.empty()) {
    coverage.formats.push_back({"float", 0, rest});
  }
  std::stable_sort(coverage.formats.begin(), coverage.formats.end(),
                   [](const Share& a, const Share& b) { return a.parameters > b.parameters; });
  coverage.multiply_adds_in_codes =
      share(static_cast<double>(in_codes), static_cast<double>(coverage.multiply_adds));
  return coverage;
}

std::vector<FloatIsland> islands_of(const std::vector<quantize::TracedCall>& calls,
                                    const std::map<std::size_t, std::string>& names,
                                    const std::vector<Layer>& layers) {
  std::vector<FloatIsland> islands;
  std::optional<FloatIsland> open;
  std::string last_codes;
  const auto close = [&](const std::string& behind) {
    if (!open) return;
    open->place = place_of(last_codes, behind);
    open->enclosed = !last_codes.empty() && !behind.empty();
    islands.push_back(std::move(*open));
    open.reset();
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto named = names.find(i);
    const std::string name = named == names.end() ? calls[i].name : named->second;
    if (works_on_codes(calls[i])) {
      close(name);
      last_codes = name;
    } else if (computes_on_floats(calls[i])) {
      if (!open) open.emplace();
      ++open->operators[calls[i].name];
      open->multiply_adds += calls[i].multiply_adds;
      if (named == names.end()) continue;
      open->layers.push_back(name);
      // What it multiplies may be hidden in an operator of another engine.
      const auto layer = std::find_if(layers.begin(), layers.end(),
                                      [&](const Layer& one) { return one.name == name; });
      if (layer != layers.end() && calls[i].multiply_adds == 0) open->multiply_adds += layer->multiply_adds;
    }
  }
  close("");
  return islands;
}

}  // namespace outcrop::analyze
